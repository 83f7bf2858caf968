#pragma once
// A vocabulary's tokens as a tree of their bytes.

#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace minke {

// The ordinary tokens: special and added ones stand for no text. Immutable and thread-safe.
class TokenTrie {
 public:
  // A node stands before those below it, which end at `end`; the bytes on the way to it are its
  // text. Node 0 is the root, of no bytes.
  struct Node {
    uint8_t byte;
    uint16_t depth;       // bytes of its text
    int32_t end;          // the first node that is not below
    int32_t first_token;  // its tokens: from here to the next node's first_token
  };

  explicit TokenTrie(const Tokenizer& tokenizer);

  const std::vector<Node>& nodes() const { return nodes_; }  // the last one only ends the others
  const std::vector<int32_t>& tokens() const { return tokens_; }
  int32_t vocab_size() const { return vocab_size_; }
  std::string_view token_bytes(int32_t token) const { return bytes_[token]; }

 private:
  std::vector<Node> nodes_;
  std::vector<int32_t> tokens_;     // in the order of their bytes
  std::vector<std::string> bytes_;  // of each token; "" of those left out
  int32_t vocab_size_;
};

}  // namespace minke
