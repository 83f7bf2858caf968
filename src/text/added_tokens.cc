#include "text/added_tokens.h"

namespace minke {

void AddedTokenMatcher::add(std::string_view content, int32_t id) {
  if (content.empty()) return;
  first_bytes_[static_cast<uint8_t>(content[0])] = true;
  uint32_t node = 0;
  for (const char byte : content) {
    const uint64_t edge = uint64_t{node} << 8 | static_cast<uint8_t>(byte);
    const auto [child, is_new] =
        children_.try_emplace(edge, static_cast<uint32_t>(token_of_node_.size()));
    if (is_new) token_of_node_.push_back(-1);
    node = child->second;
  }
  token_of_node_[node] = id;
}

AddedTokenMatcher::Match AddedTokenMatcher::match_at(std::string_view text) const {
  Match longest{0, 0};
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto child = children_.find(uint64_t{node} << 8 | static_cast<uint8_t>(text[i]));
    if (child == children_.end()) break;
    node = child->second;
    if (token_of_node_[node] >= 0) longest = {i + 1, token_of_node_[node]};
  }
  return longest;
}

}  // namespace minke
