// In which script the words of a text are written.

#include <array>

#include "base/error.h"
#include "post/answer.h"
#include "text/utf8.h"

namespace minke {
namespace {

enum Script : uint32_t {
  none = 0,
  latin = 1,
  cyrillic = 2,
  greek = 4,
  han = 8,
  kana = 16,
  hangul = 32,
  arabic = 64,
  hebrew = 128,
  devanagari = 256,
};

struct Range {
  char32_t first, last;
  Script script;
};

// The blocks of Unicode that hold nearly all letters of these scripts.
constexpr std::array<Range, 20> ranges = {
    {{'A', 'Z', latin},        {'a', 'z', latin},          {0xC0, 0xD6, latin},
     {0xD8, 0xF6, latin},      {0xF8, 0x24F, latin},       {0x370, 0x3FF, greek},
     {0x400, 0x52F, cyrillic}, {0x590, 0x5FF, hebrew},     {0x600, 0x6FF, arabic},
     {0x750, 0x77F, arabic},   {0x900, 0x97F, devanagari}, {0x1100, 0x11FF, hangul},
     {0x1E00, 0x1EFF, latin},  {0x1F00, 0x1FFF, greek},    {0x3040, 0x30FF, kana},
     {0x3400, 0x4DBF, han},    {0x4E00, 0x9FFF, han},      {0xAC00, 0xD7A3, hangul},
     {0xF900, 0xFAFF, han},    {0x20000, 0x323AF, han}}};

Script script_of(char32_t c) {
  for (const Range& range : ranges)
    if (c >= range.first && c <= range.last) return range.script;
  return none;
}

uint32_t scripts_of_language(std::string_view language) {
  struct Language {
    std::string_view name;
    uint32_t scripts;
  };
  constexpr Language languages[] = {
      {"en", latin},    {"de", latin},  {"fr", latin},  {"es", latin},
      {"ru", cyrillic}, {"el", greek},  {"zh", han},    {"ja", han | kana},
      {"ko", hangul},   {"ar", arabic}, {"he", hebrew}, {"hi", devanagari},
  };
  for (const auto& [name, scripts] : languages)
    if (name == language) return scripts;
  fail_usage("reward.language is '{}', expected en, de, fr, es, ru, el, zh, ja, ko, ar, he or hi",
             language);
}

// What stands in front of letters that are no words: a tag up to its end, a LaTeX command's name;
// 0 for none.
size_t markup_bytes(std::string_view text) {
  constexpr size_t longest_tag = 64;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  size_t end = 1;
  if (text[0] == '\\') {
    while (end < text.size() && is_letter(text[end])) ++end;
    return end > 1 ? end : 0;
  }
  if (text[0] != '<' || text.size() < 2 || (text[1] != '/' && !is_letter(text[1]))) return 0;
  end = text.substr(0, longest_tag).find('>');
  return end == text.npos ? 0 : end + 1;
}

// The chain of thought, where it ends.
std::string_view thinking(std::string_view text) { return text.substr(0, text.find("</think>")); }

}  // namespace

double language_share(std::string_view text, std::string_view language) {
  const uint32_t wanted = scripts_of_language(language);
  int64_t words = 0, matching = 0;
  uint32_t word = none;
  const auto end_word = [&] {
    words += word != none;
    matching += word != none && (word & ~wanted) == 0;
    word = none;
  };
  text = thinking(text);
  while (!text.empty()) {
    if (const size_t markup = markup_bytes(text)) {
      end_word();
      text.remove_prefix(markup);
      continue;
    }
    const size_t bytes = utf8_character(text);
    const Script script = bytes == 0 ? none : script_of(first_code_point(text));
    // Where no spaces stand between words, each character counts as one.
    if (script == none || script == han || script == kana) end_word();
    word |= script;
    text.remove_prefix(std::max<size_t>(1, bytes));
  }
  end_word();
  return words == 0 ? 0.0 : static_cast<double>(matching) / static_cast<double>(words);
}

}  // namespace minke
