#pragma once
// The pre-tokenizers of the model families that Minke reads, by the names that GGUF files give them
// (tokenizer.ggml.pre). A tokenizer.json spells its patterns out itself.

#include <optional>
#include <string_view>

#include "text/pre_tokenizer.h"

namespace minke {

struct PreTokenizerFamily {
  std::string_view name;  // "deepseek-v3"
  SplitPatterns patterns;
  bool nfc = false;            // text is normalised
  bool ignore_merges = false;  // a piece that is a token stays one
  bool adds_bos = false;       // where the file does not say
};

// nullptr: Minke does not have it.
const PreTokenizerFamily* find_pre_tokenizer_family(std::string_view name);
// The family with this behaviour, for writing; nullptr: none has it.
const PreTokenizerFamily* find_pre_tokenizer_family(const SplitPatterns& patterns, bool nfc,
                                                    bool ignore_merges);
// All names, for messages.
std::string pre_tokenizer_family_names();

}  // namespace minke
