#pragma once
// Fill-in-the-middle: a document rearranged so that a model learns to write the middle when it sees
// both sides. DeepSeek's form is PSM, at document level before packing:
//   <｜fim▁begin｜> prefix <｜fim▁hole｜> suffix <｜fim▁end｜> middle

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "text/tokenizer.h"

namespace minke {

struct FimParts {
  std::string_view prefix, middle, suffix;  // together, in this order, the text
};

// Cuts valid UTF-8 at two random places between characters.
FimParts cut_for_fim(std::string_view text, Random& random);

// The ids of the rearranged text. Each part is encoded by itself, added tokens written in it as
// such where parse_special; one that a cut goes through is plain text. The tokenizer must have the
// three tokens. Thread-safe.
std::vector<int32_t> encode_fim(const FimParts& parts, const Tokenizer& tokenizer,
                                bool parse_special);

}  // namespace minke
