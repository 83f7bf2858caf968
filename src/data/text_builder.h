#pragma once
// Collects extracted text: runs of white space become one space, breaks are lines or blank lines.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace minke {

class TextBuilder {
 public:
  // Flowing text.
  void add(std::string_view text) {
    for (const char c : text) {
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')
        space_ = true;
      else
        put(c);
    }
  }

  // Text whose spaces and line ends count.
  void add_preformatted(std::string_view text) {
    for (const char c : text) {
      if (c == '\r') continue;
      if (c == '\n')
        ++line_ends_;
      else if (c == ' ' || c == '\t')
        spaces_ += c;
      else
        put(c);
      if (c == '\n') spaces_.clear();
    }
  }

  // What follows begins a new line (1) or a new paragraph (2).
  void new_line(int line_ends = 1) {
    line_ends_ = std::max(line_ends_, line_ends);
    space_ = false;
    spaces_.clear();
  }

  // Stands in front of what comes next, such as a list item's dash.
  void set_prefix(std::string prefix) { prefix_ = std::move(prefix); }
  // Separates what comes next from the same line's text before it.
  void separate() { spaces_.assign(1, '\t'), space_ = false; }

  bool empty() const { return text_.empty(); }
  size_t size() const { return text_.size(); }
  std::string take() {
    if (!text_.empty()) text_ += '\n';
    return std::move(text_);
  }

 private:
  void put(char c) {
    if (line_ends_ > 0 && !text_.empty()) {
      text_.append(static_cast<size_t>(std::min(line_ends_, 3)), '\n');
      space_ = false;
    }
    const bool line_start = text_.empty() || text_.back() == '\n';
    if (!prefix_.empty()) text_ += std::exchange(prefix_, {});
    if (!spaces_.empty() && (spaces_ != "\t" || !line_start)) text_ += spaces_;
    if (space_ && spaces_.empty() && !line_start) text_ += ' ';
    line_ends_ = 0;
    space_ = false;
    spaces_.clear();
    text_ += c;
  }

  std::string text_, prefix_, spaces_;
  int line_ends_ = 0;
  bool space_ = false;
};

}  // namespace minke
