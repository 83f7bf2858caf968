#include "infer/grammar.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "infer/grammar_check.h"
#include "text/utf8.h"

namespace minke {
namespace {

using Kind = GrammarNode::Kind;

constexpr size_t most_text = 1 << 18, most_rules = 2000;
constexpr int deepest_group = 100, most_repetitions = 8;  // of one item; both nest
constexpr int64_t most_repeats = 10000;
constexpr char32_t last_character = 0x10FFFF;
constexpr CharacterRange surrogates{0xD800, 0xDFFF};

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Recursive descent; at_ is always inside of the text or at its end.
class Parser {
 public:
  Parser(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  Grammar parse() {
    if (text_.size() > most_text)
      fail_usage("{}: the grammar has {} bytes, at most {} are read", where_, text_.size(),
                 most_text);
    at_ = valid_utf8_prefix(text_);
    if (at_ < text_.size()) error("this is not valid UTF-8");
    for (at_ = 0, skip_space(); at_ < text_.size(); skip_space()) parse_rule();
    for (const auto& [rule, used_at] : used_at_)
      if (grammar_.bodies[rule] < 0) {
        at_ = used_at;
        error("there is no rule '{}'", grammar_.names[rule]);
      }
    const auto root = by_name_.find("root");
    if (root == by_name_.end()) fail_usage("{}: the grammar has no rule 'root'", where_);
    grammar_.root = root->second;
    return std::move(grammar_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void error(fmt::format_string<Args...> format, Args&&... args) const {
    const std::string_view before = text_.substr(0, at_);
    const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    fail_usage("{}:{}:{}: {}", where_, 1 + std::count(before.begin(), before.end(), '\n'),
               at_ - line_begin + 1, fmt::format(format, std::forward<Args>(args)...));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  void expect(std::string_view expected, std::string_view after) {
    if (!take(expected)) error("expected '{}' {}", expected, after);
  }
  void skip_space() {
    while (at_ < text_.size() && (is_space(text_[at_]) || text_[at_] == '#')) {
      if (text_[at_] == '#')
        at_ = std::min(text_.find('\n', at_), text_.size());
      else
        ++at_;
    }
  }

  std::string_view name() {
    const size_t begin = at_;
    while (is_name_character(peek())) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  int32_t rule_named(std::string_view name) {
    const auto [found, is_new] =
        by_name_.try_emplace(std::string(name), static_cast<int32_t>(grammar_.names.size()));
    if (is_new) {
      if (grammar_.names.size() == most_rules) error("more than {} rules", most_rules);
      grammar_.names.emplace_back(name);
      grammar_.bodies.push_back(-1);
    }
    return found->second;
  }
  int32_t add(GrammarNode node) {
    grammar_.nodes.push_back(std::move(node));
    return static_cast<int32_t>(grammar_.nodes.size()) - 1;
  }

  void parse_rule() {
    const size_t begin = at_;
    const std::string_view named = name();
    if (named.empty()) error("expected a rule: NAME ::= ...");
    const int32_t rule = rule_named(named);
    skip_space();
    expect("::=", "after the rule's name");
    if (grammar_.bodies[rule] >= 0) {
      at_ = begin;
      error("the rule '{}' is there already", named);
    }
    const int32_t body = choice(0);
    grammar_.bodies[rule] = body;
    if (at_ < text_.size() && !begins_rule()) error("expected '|', or another rule");
  }

  // Whether "NAME ::=" stands here: then the rule before has ended.
  bool begins_rule() {
    const size_t begin = at_;
    const bool named = !name().empty();
    skip_space();
    const bool result = named && text_.substr(at_).starts_with("::=");
    at_ = begin;
    return result;
  }

  int32_t choice(int depth) {
    if (depth > deepest_group) error("groups are nested deeper than {}", deepest_group);
    std::vector<int32_t> alternatives = {sequence(depth)};
    while (take("|")) alternatives.push_back(sequence(depth));
    if (alternatives.size() == 1) return alternatives[0];
    return add({.kind = Kind::choice, .children = std::move(alternatives)});
  }

  int32_t sequence(int depth) {
    std::vector<int32_t> items;
    for (skip_space(); at_ < text_.size(); skip_space()) {
      const char c = peek();
      if (c == '|' || c == ')' || (is_name_character(c) && begins_rule())) break;
      items.push_back(repeated(item(depth)));
    }
    if (items.size() == 1) return items[0];
    return add({.kind = Kind::sequence, .children = std::move(items)});
  }

  int32_t item(int depth) {
    const size_t begin = at_;
    if (take("\"")) return string();
    if (take("[")) return character_class();
    if (take(".")) return add({.kind = Kind::characters, .ranges = complement({})});
    if (take("(")) {
      const int32_t group = choice(depth + 1);
      expect(")", "at the end of the group");
      return group;
    }
    const std::string_view named = name();
    if (named.empty()) error("expected a string, a [class], a rule's name or a (group)");
    const int32_t rule = rule_named(named);
    used_at_.try_emplace(rule, begin);
    return add({.kind = Kind::rule, .rule = rule});
  }

  // What stands after an item: * + ? {m} {m,} {,n} {m,n}, some times over.
  int32_t repeated(int32_t node) {
    int count = 0;
    for (skip_space();; skip_space()) {
      int64_t min = 0, max = -1;
      if (take("*")) {
      } else if (take("+")) {
        min = 1;
      } else if (take("?")) {
        max = 1;
      } else if (take("{")) {
        counts(min, max);
      } else {
        return node;
      }
      if (++count > most_repetitions)
        error("more than {} repetitions of one item", most_repetitions);
      node = add({.kind = Kind::repeat, .children = {node}, .min = min, .max = max});
    }
  }

  void counts(int64_t& min, int64_t& max) {
    const bool has_min = number(min);
    if (!take(",")) {
      if (!has_min) error("expected a number in {{}}");
      max = min;
    } else if (!number(max)) {
      max = -1;
      if (!has_min) error("expected a number in {{}}");
    }
    if (max >= 0 && max < min) error("{{{},{}}} is less than nothing", min, max);
    expect("}", "after the number of times");
  }
  bool number(int64_t& value) {
    skip_space();
    if (peek() < '0' || peek() > '9') return false;
    for (value = 0; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + (peek() - '0');
      if (value > most_repeats) error("at most {} times", most_repeats);
    }
    skip_space();
    return true;
  }

  int32_t string() {
    std::string text;
    while (!take("\"")) {
      if (at_ >= text_.size() || peek() == '\n') error("the string has no end");
      append_utf8(text, character());
    }
    if (text.empty()) return add({.kind = Kind::sequence});
    return add({.kind = Kind::text, .text = std::move(text)});
  }

  int32_t character_class() {
    const bool inverted = take("^");
    std::vector<CharacterRange> ranges;
    while (!take("]")) {
      if (at_ >= text_.size() || peek() == '\n') error("the class has no ']'");
      const char32_t first = character();
      char32_t last = first;
      if (peek() == '-' && text_.substr(at_, 2) != "-]") {
        ++at_;
        if (at_ >= text_.size() || peek() == '\n') error("the class has no ']'");
        last = character();
        if (last < first) error("the range ends before it begins");
      }
      ranges.push_back({first, last});
    }
    ranges = inverted ? complement(joined(ranges)) : complement(complement(joined(ranges)));
    if (ranges.empty()) error("the class has no characters");
    return add({.kind = Kind::characters, .ranges = std::move(ranges)});
  }

  char32_t character() {
    if (!take("\\")) {
      const std::string_view rest = text_.substr(at_);
      at_ += utf8_character(rest);
      return first_code_point(rest);
    }
    constexpr std::string_view names = "nrt\\\"[]-^", meanings = "\n\r\t\\\"[]-^";
    const size_t simple = at_ < text_.size() ? names.find(peek()) : std::string_view::npos;
    if (simple != std::string_view::npos) {
      ++at_;
      return static_cast<char32_t>(meanings[simple]);
    }
    if (take("x")) return hexadecimal(2);
    if (take("u")) return hexadecimal(4);
    if (take("U")) return hexadecimal(8);
    error(R"(expected one of \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH)");
  }

  char32_t hexadecimal(int digits) {
    char32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const int digit = hex_value(peek());
      if (digit < 0) error("expected {} hexadecimal digits", digits);
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (value > last_character || (value >= surrogates.first && value <= surrogates.last))
      error("there is no character {:#x}", static_cast<uint32_t>(value));
    return value;
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
  Grammar grammar_;
  std::map<std::string, int32_t, std::less<>> by_name_;
  std::map<int32_t, size_t> used_at_;  // where a rule is named first
};

}  // namespace

std::vector<CharacterRange> joined(std::vector<CharacterRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<CharacterRange> result;
  for (const CharacterRange& range : ranges) {
    if (!result.empty() && range.first <= result.back().last + 1)
      result.back().last = std::max(result.back().last, range.last);
    else
      result.push_back(range);
  }
  return result;
}

std::vector<CharacterRange> complement(const std::vector<CharacterRange>& ranges) {
  std::vector<CharacterRange> excluded = ranges;
  excluded.push_back(surrogates);
  std::vector<CharacterRange> result;
  char32_t next = 0;
  for (const CharacterRange& range : joined(excluded)) {
    if (range.first > next) result.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= last_character) result.push_back({next, last_character});
  return result;
}

Grammar Grammar::parse(std::string_view text, std::string_view where) {
  Grammar grammar = Parser(text, where).parse();
  check_grammar(grammar, where);
  return grammar;
}

}  // namespace minke
