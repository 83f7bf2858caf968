#include "post/answer.h"

#include <array>

#include "base/error.h"
#include "post/number.h"

namespace minke {
namespace {

constexpr std::string_view think_begin = "<think>", think_end = "</think>";
constexpr std::string_view answer_begin = "<answer>", answer_end = "</answer>";

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// What stands behind the thinking; nothing where the thinking does not end.
std::string_view after_thinking(std::string_view text) {
  const size_t end = text.rfind(think_end);
  if (end != text.npos) return text.substr(end + think_end.size());
  return text.find(think_begin) == text.npos ? text : std::string_view();
}

std::string_view last_tag(std::string_view text) {
  const size_t begin = text.rfind(answer_begin);
  if (begin == text.npos) return "";
  text.remove_prefix(begin + answer_begin.size());
  const size_t end = text.find(answer_end);
  return end == text.npos ? "" : text.substr(0, end);
}

// The last stretch of digits with what belongs to a number: sign, separators, decimals, fraction.
std::string_view last_number(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && !is_digit(text[end - 1])) --end;
  if (end == 0) return "";
  size_t begin = end - 1;
  while (begin > 0 && (is_digit(text[begin - 1]) ||
                       (begin > 1 && is_digit(text[begin - 2]) &&
                        std::string_view(".,/").find(text[begin - 1]) != std::string_view::npos)))
    --begin;
  if (begin > 0 && text[begin - 1] == '.') --begin;
  const bool is_sign =
      begin > 0 && text[begin - 1] == '-' && (begin < 2 || !is_digit(text[begin - 2]));
  if (is_sign) --begin;
  if (end < text.size() && text[end] == '%') ++end;
  return text.substr(begin, end - begin);
}

std::string_view answer_by_task(std::string_view response) {
  const std::string_view rest = after_thinking(response);
  if (const std::string_view boxed = last_boxed(rest); !boxed.empty()) return boxed;
  if (const std::string_view tagged = last_tag(rest); !tagged.empty()) return tagged;
  const size_t hashes = rest.rfind("####");  // GSM8K's
  return hashes == rest.npos ? rest : rest.substr(hashes + 4);
}

void erase_all(std::string& text, std::string_view word) {
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos;) text.erase(at, word.size());
}

void replace_all(std::string& text, std::string_view word, std::string_view by) {
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size())
    text.replace(at, word.size(), by);
}

// "\text{ cm}" at the end is a unit; anywhere else its content stays.
void unwrap_text(std::string& text) {
  for (const std::string_view command : {"\\text{", "\\mathrm{", "\\textbf{", "\\mbox{"})
    for (size_t at = 0; (at = text.find(command, at)) != std::string::npos;) {
      const size_t end = text.find('}', at);
      if (end == std::string::npos) break;
      text.erase(end, 1);
      text.erase(at, command.size());
      text.insert(at, 1, ' ');
    }
}

// "x=5" without its left side, as MATH's own checker does where that is short.
void drop_left_side(std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || text.find('=', equals + 1) != std::string::npos) return;
  const std::string_view left = trim(std::string_view(text).substr(0, equals));
  if (left.size() <= 2 && !left.empty() && is_letter(left[0])) text.erase(0, equals + 1);
}

struct Measure {
  std::string_view figure, unit;
};

// "5 apples": a figure, then words.
Measure split_unit(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0 && (is_letter(text[begin - 1]) || is_space(text[begin - 1]))) --begin;
  const std::string_view unit = trim(text.substr(begin));
  if (begin == 0 || unit.empty() ||
      !(is_digit(text[begin - 1]) || text[begin - 1] == '%' || text[begin - 1] == '}'))
    return {text, ""};
  return {text.substr(0, begin), unit};
}

std::string without_spaces(std::string_view text) {
  std::string bare;
  for (const char c : text)
    if (!is_space(c)) bare += c;
  return bare;
}

size_t count(std::string_view text, std::string_view word) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(word, at)) != text.npos; at += word.size()) ++found;
  return found;
}

}  // namespace

std::string_view find_answer(std::string_view response, AnswerPlace place) {
  switch (place) {
    case AnswerPlace::by_task:
      return trim(answer_by_task(response));
    case AnswerPlace::whole:
      return trim(response);
    case AnswerPlace::after_think:
      return response.find(think_end) == response.npos ? "" : trim(after_thinking(response));
    case AnswerPlace::boxed:
      return trim(last_boxed(response));
    case AnswerPlace::tag:
      return trim(last_tag(response));
    case AnswerPlace::last_number:
      return last_number(after_thinking(response));
  }
  fail("internal error: no such place of an answer");
}

std::string_view last_boxed(std::string_view text) {
  for (const std::string_view command : {"\\boxed{", "\\fbox{"}) {
    const size_t begin = text.rfind(command);
    if (begin == text.npos) continue;
    const std::string_view inside = text.substr(begin + command.size());
    int64_t depth = 1;
    for (size_t i = 0; i < inside.size(); ++i) {
      depth += inside[i] == '{' ? 1 : inside[i] == '}' ? -1 : 0;
      if (depth == 0) return inside.substr(0, i);
    }
  }
  return "";
}

std::string normalise_answer(std::string_view answer) {
  constexpr size_t longest = 4096;  // no right answer is longer
  answer = trim(answer);
  if (answer.size() > longest) return std::string(answer);
  std::string text(answer);
  for (const std::string_view word :
       {"\\left", "\\right", "\\!", "\\,", "\\;", "\\:", "\\$", "$", "€", "£", "^\\circ",
        "^{\\circ}", "°", "\\(", "\\)", "\\[", "\\]", "\\displaystyle", "**"})
    erase_all(text, word);
  for (const std::string_view word : {"\\dfrac", "\\tfrac"}) replace_all(text, word, "\\frac");
  replace_all(text, "\\ ", " ");
  replace_all(text, "~", " ");
  unwrap_text(text);
  drop_left_side(text);
  std::string_view rest = trim(text);
  while (!rest.empty() && (rest.back() == '.' || rest.back() == ','))
    rest = trim(rest.substr(0, rest.size() - 1));
  return std::string(rest);
}

bool same_answer(std::string_view given, std::string_view right) {
  const std::string a = normalise_answer(given), b = normalise_answer(right);
  if (a.empty() || b.empty()) return false;
  if (without_spaces(a) == without_spaces(b)) return true;
  const auto [figure_a, unit_a] = split_unit(a);
  const auto [figure_b, unit_b] = split_unit(b);
  if (!unit_a.empty() && !unit_b.empty() && unit_a != unit_b) return false;
  const std::optional<Number> x = parse_number(figure_a), y = parse_number(figure_b);
  return x && y && same_number(*x, *y);
}

bool same_text(std::string_view given, std::string_view right) {
  const std::string a = without_spaces(normalise_answer(given));
  return !a.empty() && a == without_spaces(normalise_answer(right));
}

std::string_view find_code(std::string_view answer) {
  constexpr std::string_view fence = "```";
  size_t end = answer.rfind(fence);
  if (end == answer.npos) return answer;
  size_t begin = end == 0 ? answer.npos : answer.rfind(fence, end - 1);
  if (begin == answer.npos) {  // the last block is not closed
    begin = end;
    end = answer.size();
  }
  const size_t line = answer.find('\n', begin);  // the language stands behind the opening fence
  return line >= end ? std::string_view() : answer.substr(line + 1, end - line - 1);
}

bool has_format(std::string_view response, FormatRule rule) {
  if (rule == FormatRule::none) return true;
  response = trim(response);
  if (!response.starts_with(think_begin) || count(response, think_begin) != 1 ||
      count(response, think_end) != 1)
    return false;
  const std::string_view answer = trim(after_thinking(response));
  if (rule == FormatRule::think) return !answer.empty();
  return answer.starts_with(answer_begin) && answer.ends_with(answer_end) &&
         count(response, answer_begin) == 1 && count(response, answer_end) == 1 &&
         !trim(last_tag(answer)).empty();
}

}  // namespace minke
