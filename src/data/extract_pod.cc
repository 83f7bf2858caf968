#include <algorithm>
#include <cctype>

#include "data/extract.h"
#include "data/text_builder.h"

namespace minke {
namespace {

// The text of a paragraph with formatting codes: B<bold>, C<< code >>, L<name|target>, E<lt> ...
class PodText {
 public:
  static std::string from(std::string_view text) {
    PodText reader(text);
    return reader.read_until("");
  }

 private:
  explicit PodText(std::string_view text) : text_(text) {}

  // Reads up to the closing delimiter (">", " >>" ...) and past it.
  std::string read_until(std::string_view close) {
    std::string result;
    while (at_ < text_.size()) {
      if (!close.empty() && text_.substr(at_).starts_with(close)) {
        at_ += close.size();
        return result;
      }
      const bool code = depth_ < deepest && at_ + 1 < text_.size() && text_[at_ + 1] == '<' &&
                        std::isupper(static_cast<unsigned char>(text_[at_]));
      if (code)
        result += read_code();
      else
        result += text_[at_++];
    }
    return result;
  }

  std::string read_code() {
    const char kind = text_[at_++];
    size_t marks = 0;
    while (at_ < text_.size() && text_[at_] == '<') ++at_, ++marks;
    std::string close(marks, '>');
    if (marks > 1) {  // C<< text >>: spaces belong to the delimiters
      while (at_ < text_.size() && text_[at_] == ' ') ++at_;
      close = " " + close;
    }
    ++depth_;
    const std::string inside = read_until(close);
    --depth_;
    if (kind == 'X' || kind == 'Z') return {};
    if (kind == 'E') return entity(inside);
    if (kind == 'L') return link(inside);
    return inside;
  }

  static std::string entity(const std::string& name) {
    if (name == "sol") return "/";
    if (name == "verbar") return "|";
    const bool number = !name.empty() && std::isdigit(static_cast<unsigned char>(name[0]));
    if (number && name.starts_with("0x")) return decode_entities("&#x" + name.substr(2) + ";");
    return decode_entities(number ? "&#" + name + ";" : "&" + name + ";");
  }

  // L<text|target>, L<page>, L<page/section>, L</section>.
  static std::string link(const std::string& inside) {
    const size_t bar = inside.find('|');
    if (bar != std::string::npos) return inside.substr(0, bar);
    const size_t slash = inside.find('/');
    if (slash == std::string::npos || inside.find("://") != std::string::npos) return inside;
    std::string section = inside.substr(slash + 1);
    std::erase(section, '"');
    return slash == 0 ? section : section + " in " + inside.substr(0, slash);
  }

  static constexpr int deepest = 32;  // of codes in each other; what is deeper is text

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

class PodExtractor {
 public:
  std::string extract(std::string_view pod) {
    while (!pod.empty()) {
      const size_t end = std::min(paragraph_end(pod), pod.size());
      paragraph(pod.substr(0, end));
      pod.remove_prefix(end);
      while (!pod.empty() && (pod[0] == '\n' || pod[0] == '\r')) pod.remove_prefix(1);
    }
    return text_.take();
  }

 private:
  // Paragraphs end at a line of white space alone.
  static size_t paragraph_end(std::string_view pod) {
    for (size_t at = pod.find('\n'); at != std::string_view::npos; at = pod.find('\n', at + 1)) {
      const size_t next = pod.find_first_not_of(" \t\r", at + 1);
      if (next == std::string_view::npos || pod[next] == '\n') return at;
    }
    return pod.size();
  }

  void paragraph(std::string_view text) {
    if (text.starts_with('=') && text.size() > 1 &&
        std::isalpha(static_cast<unsigned char>(text[1])))
      return command(text);
    if (!in_pod_ || skipping_ || text.empty()) return;
    const bool verbatim = text[0] == ' ' || text[0] == '\t';
    // Verbatim paragraphs that follow each other keep their one blank line.
    text_.new_line(item_ && !verbatim ? 1 : 2);
    item_ = false;
    if (verbatim)
      text_.add_preformatted(text);
    else
      text_.add(PodText::from(text));
  }

  void command(std::string_view text) {
    const size_t name_end = std::min(text.find_first_of(" \t\r\n"), text.size());
    const std::string_view name = text.substr(1, name_end - 1);
    const std::string_view rest = text.substr(name_end);
    in_pod_ = name != "cut";
    if (name == "begin") skipping_ = true;
    if (name == "end") skipping_ = false;
    if (skipping_) return;
    if (name.starts_with("head")) {
      item_ = false;
      text_.new_line(2);
      text_.add(PodText::from(rest));
    } else if (name == "item") {
      const std::string label = PodText::from(rest);
      const bool bullet = label.find_first_not_of(" \t\r\n*") == std::string::npos;
      text_.new_line(item_ ? 1 : 2);
      text_.set_prefix(bullet ? "- " : "");
      if (!bullet) text_.add(label);
      item_ = true;
    }
  }

  TextBuilder text_;
  bool in_pod_ = false;
  bool skipping_ = false;  // between =begin and =end: another format's text
  bool item_ = false;      // the paragraph before was =item
};

}  // namespace

std::string text_from_pod(std::string_view pod) { return PodExtractor().extract(pod); }

std::string text_from_dict(std::string_view entries) {
  std::string text;
  while (!entries.empty()) {
    const size_t end = std::min(entries.find('\n'), entries.size());
    std::string line(entries.substr(0, end));
    entries.remove_prefix(std::min(end + 1, entries.size()));
    const size_t first = line.find_first_not_of(' ');
    const bool source = first != std::string::npos && first > 0 && line[first] == '[' &&
                        line.find(']') == line.size() - 1;
    if (source) continue;
    std::erase_if(line, [](char c) { return c == '{' || c == '}'; });
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

}  // namespace minke
