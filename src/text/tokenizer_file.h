#pragma once
// A tokenizer as plain data, and as the two files that the Hugging Face libraries read:
// tokenizer.json and tokenizer_config.json. docs/tokenizer.md lists what is supported.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pre_tokenizer.h"

namespace minke {

struct TokenizerDefinition {
  std::vector<std::string> tokens;  // bytes of each id; empty for an id that is not used
  std::vector<BpeMerge> merges;     // in the order of their rank
  std::vector<AddedToken> added;    // their text is in `tokens` too
  SplitPatterns patterns;           // of the pre-tokenizer
  bool nfc = false;                 // text is brought to Unicode's normal form C first
  bool ignore_merges = false;       // a piece that is a token stays one, whatever the merges say
  bool adds_bos = false;            // the file asks for BOS in front of every text
  std::optional<int32_t> bos, eos, pad;
  std::optional<int32_t> eot;  // ends a turn where that is another token than EOS (GGUF only)
};

// Reads a folder with these files, or a tokenizer.json by itself. A kind of model, normaliser or
// pre-tokenizer that Minke does not have is an Error that names it.
TokenizerDefinition read_tokenizer(const fs::path& path);

// Writes both files into the folder, which is made if need be.
void write_tokenizer(const TokenizerDefinition& definition, const fs::path& folder);

}  // namespace minke
