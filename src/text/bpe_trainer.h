#pragma once
// Training of a byte-level BPE tokenizer in the layout of DeepSeek-V3's: ids 0, 1, 2 are BOS, EOS
// and padding, then come the 256 bytes, then the merges in the order in which they were made, and
// the remaining special tokens (special_tokens.h) end the vocabulary.
//
// The next merge is always the pair of tokens that occurs most often; of equally frequent pairs the
// one with the lowest left id, then the lowest right id. The result is a function of the documents
// alone, neither of their order nor of the number of threads.

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer_file.h"
#include "text/word_counts.h"

namespace minke {

struct BpeTrainerOptions {
  int32_t vocab_size = 0;          // all ids, special tokens included
  bool individual_digits = false;  // each digit a token of its own; otherwise up to three
};

// Not thread-safe; uses all threads itself.
class BpeTrainer {
 public:
  // A vocabulary too small for bytes and special tokens is an Error.
  explicit BpeTrainer(const BpeTrainerOptions& options);

  void add(std::string_view document) { words_.add(document); }

  // The vocabulary has exactly the size asked for. Too little text for that many merges is an Error
  // that says how many there could be.
  TokenizerDefinition train();

 private:
  BpeTrainerOptions options_;
  SplitPatterns patterns_;
  WordCounter words_;
};

}  // namespace minke
