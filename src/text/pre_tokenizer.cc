#include "text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "base/error.h"
#include "text/utf8.h"

namespace minke {
namespace {

// Unicode's White_Space, as tokenizer.json files mean \s. PCRE2's own \s adds U+180E.
constexpr std::string_view white_space =
    R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

// Rewrites \s (anywhere) and \S (outside of brackets) into that set.
std::string translate(std::string_view pattern) {
  std::string result;
  bool in_brackets = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const char next = c == '\\' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (next == 's') {
      result += in_brackets ? std::string(white_space) : fmt::format("[{}]", white_space);
      ++i;
    } else if (next == 'S' && !in_brackets) {
      result += fmt::format("[^{}]", white_space);
      ++i;
    } else if (next != '\0') {
      result += c, result += next;
      ++i;
    } else {
      if (c == '[') in_brackets = true;
      if (c == ']') in_brackets = false;
      result += c;
    }
  }
  return result;
}

std::string message_of(int error) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

pcre2_code* compile(const std::string& pattern) {
  const std::string translated = translate(pattern);
  int error = 0;
  size_t offset = 0;
  // In Oniguruma's syntax ^ and $ are always those of a line.
  pcre2_code* code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code == nullptr)
    fail("the pre-tokenizer's pattern {} is not one that PCRE2 accepts: {}", pattern,
         message_of(error));
  return code;
}

PCRE2_SPTR code_units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

const char* const gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

SplitPatterns deepseek_v3_patterns(bool individual_digits) {
  return {individual_digits ? R"(\p{N})" : R"(\p{N}{1,3})", "[一-龥\u3040-ゟ゠-ヿ]+",
          R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
          "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+"
          "|\\s+(?!\\S)|\\s+"};
}

PreTokenizer::Workspace::Workspace()
    : match_(pcre2_match_data_create(1, nullptr)),
      context_(pcre2_match_context_create(nullptr)),
      stack_(pcre2_jit_stack_create(32 << 10, 16 << 20, nullptr)) {
  require(match_ && context_ && stack_, "no memory for PCRE2's match data");
  pcre2_jit_stack_assign(context_, nullptr, stack_);
}

PreTokenizer::Workspace::Workspace(Workspace&& other) noexcept
    : match_(std::exchange(other.match_, nullptr)),
      context_(std::exchange(other.context_, nullptr)),
      stack_(std::exchange(other.stack_, nullptr)) {}

PreTokenizer::Workspace::~Workspace() {
  pcre2_match_data_free(match_);
  pcre2_match_context_free(context_);
  pcre2_jit_stack_free(stack_);
}

PreTokenizer::PreTokenizer(const SplitPatterns& patterns) : patterns_(patterns) {
  for (const SplitPattern& pattern : patterns) {
    codes_.push_back(compile(pattern.regex));
    // Without machine code (a hardened kernel, an unknown processor) the interpreter does it.
    compiled_ = compiled_ && pcre2_jit_compile(codes_.back(), PCRE2_JIT_COMPLETE) == 0;
  }
}

PreTokenizer::PreTokenizer(PreTokenizer&& other) noexcept
    : patterns_(std::move(other.patterns_)),
      codes_(std::exchange(other.codes_, {})),
      compiled_(other.compiled_) {}

PreTokenizer::~PreTokenizer() {
  for (pcre2_code* code : codes_) pcre2_code_free(code);
}

PreTokenizer::Match PreTokenizer::find(size_t pattern, std::string_view text, size_t from,
                                       Workspace& workspace) const {
  const auto match = compiled_ ? pcre2_jit_match : pcre2_match;
  while (from < text.size()) {
    const int found = match(codes_[pattern], code_units(text), text.size(), from,
                            PCRE2_NO_UTF_CHECK, workspace.match_, workspace.context_);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0)
      fail("the pre-tokenizer's pattern {} fails on a text of {} bytes: {}", pattern + 1,
           text.size(), message_of(found));
    const size_t* bounds = pcre2_get_ovector_pointer(workspace.match_);
    if (bounds[1] > bounds[0]) return {bounds[0], bounds[1]};
    from = bounds[1] + std::max<size_t>(1, utf8_character(text.substr(bounds[1])));
  }
  return {text.size(), text.size()};
}

}  // namespace minke
