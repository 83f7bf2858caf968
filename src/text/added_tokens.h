#pragma once
// Tokens that are looked for in the text itself, before any pre-tokenizer: <｜User｜> and the like.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace minke {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;     // left out by decode(ids, skip_special)
  bool normalized = false;  // looked for after normalisation, in what other tokens left
};

// A search tree for such tokens: leftmost match first, and the longest of those that begin there.
// Thread-safe once filled.
class AddedTokenMatcher {
 public:
  void add(std::string_view content, int32_t id);

  // Calls on_text(std::string_view) for the (non-empty) stretches without a token and on_token(id)
  // for the tokens, in order.
  template <typename OnText, typename OnToken>
  void split(std::string_view text, OnText&& on_text, OnToken&& on_token) const {
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      const Match match =
          first_bytes_[static_cast<uint8_t>(text[at])] ? match_at(text.substr(at)) : Match{0, 0};
      if (match.length == 0) {
        ++at;
        continue;
      }
      if (at > begin) on_text(text.substr(begin, at - begin));
      on_token(match.id);
      begin = at += match.length;
    }
    if (begin < text.size()) on_text(text.substr(begin));
  }

 private:
  struct Match {
    size_t length;  // 0: no token begins here
    int32_t id;
  };
  Match match_at(std::string_view text) const;

  std::vector<bool> first_bytes_ = std::vector<bool>(256);
  std::unordered_map<uint64_t, uint32_t> children_;  // node << 8 | byte -> node
  std::vector<int32_t> token_of_node_ = {-1};
};

}  // namespace minke
