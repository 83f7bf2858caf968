#include "infer/token_trie.h"

#include <algorithm>

namespace minke {
namespace {

constexpr size_t longest_token = 1024;  // a longer one is left out

// "" for ids that stand for no ordinary text: special and added tokens, holes in the vocabulary.
std::string ordinary_bytes(const Tokenizer& tokenizer, int32_t id) {
  if (tokenizer.is_special(id)) return "";
  const std::string_view bytes = tokenizer.token_bytes(id);
  if (bytes.size() > longest_token || tokenizer.find_special(bytes) == id) return "";
  return std::string(bytes);
}

size_t common_prefix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

}  // namespace

TokenTrie::TokenTrie(const Tokenizer& tokenizer) : vocab_size_(tokenizer.vocab_size()) {
  for (int32_t id = 0; id < vocab_size_; ++id) {
    bytes_.push_back(ordinary_bytes(tokenizer, id));
    if (!bytes_.back().empty()) tokens_.push_back(id);
  }
  std::sort(tokens_.begin(), tokens_.end(), [&](int32_t a, int32_t b) {
    return bytes_[a] != bytes_[b] ? bytes_[a] < bytes_[b] : a < b;
  });
  nodes_.push_back({0, 0, 0, 0});
  std::vector<size_t> path = {0};  // the nodes on the way to the newest
  const auto leave = [&](size_t depth) {
    for (; path.size() > depth + 1; path.pop_back())
      nodes_[path.back()].end = static_cast<int32_t>(nodes_.size());
  };
  std::string_view previous;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string_view text = bytes_[tokens_[i]];
    leave(common_prefix(previous, text));
    while (path.size() <= text.size()) {
      const auto depth = static_cast<uint16_t>(path.size());
      path.push_back(nodes_.size());
      nodes_.push_back({static_cast<uint8_t>(text[depth - 1]), depth, 0, static_cast<int32_t>(i)});
    }
    previous = text;
  }
  leave(0);
  const auto count = static_cast<int32_t>(nodes_.size());
  nodes_[0].end = count;
  nodes_.push_back({0, 0, count + 1, static_cast<int32_t>(tokens_.size())});
}

}  // namespace minke
