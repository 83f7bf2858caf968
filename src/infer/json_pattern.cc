// Regular expressions of JSON Schema's `pattern` as grammars.

#include <algorithm>

#include "base/error.h"
#include "infer/grammar_text.h"
#include "infer/json_schema.h"
#include "text/utf8.h"

namespace minke {
namespace {

using Ranges = std::vector<CharacterRange>;

const Ranges digits = {{'0', '9'}};
const Ranges word = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const Ranges spaces = {{'\t', '\r'}, {' ', ' '}, {0xA0, 0xA0}, {0x2028, 0x2029}, {0xFEFF, 0xFEFF}};
const Ranges line_ends = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
constexpr int deepest_group = 50;

class PatternParser {
 public:
  PatternParser(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  // Each alternative matches anywhere in the string but for its own ^ and $.
  std::string parse() {
    std::vector<std::string> alternatives;
    do {
      const std::string before = take('^') ? "" : "char* ";
      const std::string middle = sequence(0);
      alternatives.push_back(before + middle + (take('$') ? "" : " char*"));
    } while (take('|'));
    if (at_ < text_.size()) error("this does not end the pattern");
    return "(" + joined_by(alternatives, " | ") + ")";
  }

 private:
  [[noreturn]] void error(std::string_view what) const {
    fail_usage("the JSON schema, at {}: after {} bytes of the pattern: {}", where_, at_, what);
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::string sequence(int depth) {
    std::string result;
    while (at_ < text_.size() && peek() != '|' && peek() != ')' && peek() != '$') {
      const std::string one = atom(depth);
      result += one + quantifier() + " ";
    }
    return result;
  }

  std::string atom(int depth) {
    if (take('(')) return group(depth);
    if (take('[')) return grammar_json_characters(character_class());
    if (take('.')) return grammar_json_characters(complement(line_ends));
    if (peek() == '\\') {
      const Ranges ranges = escape();
      return grammar_json_characters(ranges);
    }
    if (std::string_view("^*+?{}").find(peek()) != std::string_view::npos)
      error("this character stands for itself only behind a backslash");
    const char32_t c = character();
    return grammar_json_characters({{c, c}});
  }

  std::string group(int depth) {
    if (depth > deepest_group) error("groups are nested too deeply");
    if (take('?') && !take(':')) error("groups with (? are not supported but for (?:");
    std::vector<std::string> alternatives;
    do {
      alternatives.push_back(sequence(depth + 1));
    } while (take('|'));
    if (!take(')')) error("expected ')'; ^ and $ are supported at the pattern's ends");
    return "(" + joined_by(alternatives, " | ") + ")";
  }

  std::string quantifier() {
    const size_t begin = at_;
    if (take('{')) {
      while (at_ < text_.size() && peek() != '}') {
        if (std::string_view("0123456789,").find(peek()) == std::string_view::npos)
          error("expected a number of times");
        ++at_;
      }
      if (!take('}')) error("expected '}'");
    } else if (peek() == '*' || peek() == '+' || peek() == '?') {
      ++at_;
    }
    if (at_ > begin && (peek() == '?' || peek() == '+'))
      error("lazy and possessive repetitions are not supported");
    return std::string(text_.substr(begin, at_ - begin));
  }

  char32_t character() {
    const std::string_view rest = text_.substr(at_);
    at_ += utf8_character(rest);
    return first_code_point(rest);
  }

  Ranges character_class() {
    const bool inverted = take('^');
    Ranges ranges;
    while (!take(']')) {
      const Ranges first = class_item();
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        const Ranges last = class_item();
        if (first.size() != 1 || last.size() != 1 || first[0].first != first[0].last ||
            last[0].first != last[0].last || last[0].first < first[0].first)
          error("this is no range");
        ranges.push_back({first[0].first, last[0].first});
      } else {
        ranges.insert(ranges.end(), first.begin(), first.end());
      }
    }
    ranges = inverted ? complement(joined(ranges)) : joined(ranges);
    if (ranges.empty()) error("the class has no characters");
    return ranges;
  }

  Ranges class_item() {
    if (at_ >= text_.size()) error("the class has no ']'");
    if (peek() == '\\') return escape();
    const char32_t c = character();
    return {{c, c}};
  }

  Ranges escape() {
    ++at_;
    const char c = peek();
    ++at_;
    switch (c) {
      case 'd':
        return digits;
      case 'D':
        return complement(digits);
      case 'w':
        return word;
      case 'W':
        return complement(word);
      case 's':
        return spaces;
      case 'S':
        return complement(spaces);
      case 't':
        return {{'\t', '\t'}};
      case 'n':
        return {{'\n', '\n'}};
      case 'r':
        return {{'\r', '\r'}};
      case 'f':
        return {{'\f', '\f'}};
      case 'v':
        return {{'\v', '\v'}};
      case 'x':
        return hexadecimal(2);
      case 'u':
        return hexadecimal(4);
      default:
        break;
    }
    --at_;
    constexpr std::string_view themselves = "^$\\.*+?()[]{}|/-\"'#&,:;<=>@_`~%! ";
    if (at_ >= text_.size() || themselves.find(c) == std::string_view::npos)
      error("this escape is not supported");
    ++at_;
    const auto code = static_cast<char32_t>(c);
    return {{code, code}};
  }

  Ranges hexadecimal(int count) {
    char32_t value = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      constexpr std::string_view lower = "0123456789abcdef", upper = "0123456789ABCDEF";
      const size_t digit = std::min(lower.find(peek()), upper.find(peek()));
      if (at_ >= text_.size() || digit == std::string_view::npos)
        error("expected hexadecimal digits");
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (complement(complement({{value, value}})).empty()) error("half of a surrogate pair");
    return {{value, value}};
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
};

}  // namespace

std::string json_pattern_grammar(std::string_view pattern, std::string_view where) {
  return PatternParser(pattern, where).parse();
}

}  // namespace minke
