#include "infer/grammar_text.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "text/utf8.h"

namespace minke {
namespace {

constexpr char32_t first_printable = 0x20;
// What stands in a JSON string only behind a backslash.
const std::vector<CharacterRange> escaped = {{0, first_printable - 1}, {'"', '"'}, {'\\', '\\'}};

bool is_alphanumeric(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string class_character(char32_t c) {
  if (is_alphanumeric(c)) return std::string(1, static_cast<char>(c));
  return fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
}

std::string class_of(const std::vector<CharacterRange>& ranges) {
  std::string text = "[";
  for (const CharacterRange& range : ranges) {
    text += class_character(range.first);
    if (range.last > range.first) text += "-" + class_character(range.last);
  }
  return text + "]";
}

std::vector<CharacterRange> without(const std::vector<CharacterRange>& ranges,
                                    const std::vector<CharacterRange>& excluded) {
  std::vector<CharacterRange> outside = complement(ranges);
  outside.insert(outside.end(), excluded.begin(), excluded.end());
  return complement(joined(outside));
}

bool contains(const std::vector<CharacterRange>& ranges, char32_t c) {
  return std::ranges::any_of(
      ranges, [&](const CharacterRange& range) { return c >= range.first && c <= range.last; });
}

std::string json_escape(char32_t c) {
  constexpr std::string_view characters = "\"\\\b\f\n\r\t", letters = "\"\\bfnrt";
  const size_t at = characters.find(static_cast<char>(c));
  if (at != std::string_view::npos) return std::string("\\") + letters[at];
  return fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
}

// The names that go on after the same beginning, by their next character.
std::string other_than(const std::vector<std::string>& names) {
  std::map<char32_t, std::vector<std::string>> by_next;
  bool ends = false;
  for (const std::string& name : names) {
    if (name.empty()) {
      ends = true;
      continue;
    }
    by_next[first_code_point(name)].push_back(name.substr(utf8_character(name)));
  }
  std::vector<CharacterRange> excluded = escaped;
  for (const auto& [next, rest] : by_next) excluded.push_back({next, next});
  std::vector<std::string> alternatives = {
      fmt::format(R"({} plain* "\"")", class_of(complement(joined(excluded))))};
  if (!ends) alternatives.emplace_back(R"("\"")");
  for (const auto& [next, rest] : by_next) {
    if (contains(escaped, next)) continue;  // cannot be written without an escape
    std::string character;
    append_utf8(character, next);
    alternatives.push_back(fmt::format("{} {}", grammar_string(character), other_than(rest)));
  }
  return fmt::format("({})", joined_by(alternatives, " | "));
}

}  // namespace

std::string grammar_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\')
      result += std::string("\\") + c;
    else if (byte < first_printable)
      result += fmt::format("\\x{:02x}", byte);
    else
      result += c;
  }
  return result + "\"";
}

std::string grammar_json_characters(const std::vector<CharacterRange>& ranges) {
  std::vector<std::string> alternatives;
  if (const auto plain = without(ranges, escaped); !plain.empty())
    alternatives.push_back(class_of(plain));
  for (const CharacterRange& range : escaped)
    for (char32_t c = range.first; c <= range.last; ++c)
      if (contains(ranges, c)) alternatives.push_back(grammar_string(json_escape(c)));
  return fmt::format("({})", joined_by(alternatives, " | "));
}

std::string grammar_other_names(const std::vector<std::string>& names) {
  constexpr size_t longest = 64;
  for (const std::string& name : names)
    if (name.size() > longest)
      fail_usage(
          "the property '{}...' has more than {} bytes, which additionalProperties does not "
          "support",
          name.substr(0, valid_utf8_prefix(name.substr(0, longest))), longest);
  return other_than(names);
}

std::string joined_by(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

}  // namespace minke
