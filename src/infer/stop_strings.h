#pragma once
// Finds strings that end an answer, wherever token boundaries lie, and keeps text back that may be
// the beginning of one.

#include <string>
#include <vector>

namespace minke {

// Not thread-safe.
class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(const std::vector<std::string>& stops);

  // Adds text and returns what can be shown. After a stop string was found: what came before it,
  // and found() names it.
  std::string push(const std::string& text);
  // What was kept back, when no more text comes.
  std::string finish();
  const std::string& found() const { return found_; }

 private:
  size_t kept_back() const;

  std::vector<std::string> stops_;
  std::string pending_, found_;
};

}  // namespace minke
