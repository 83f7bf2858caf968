#pragma once
// What a response says: its answer, its form, its language. All of it by rules, in time that grows
// with the response's length at most, whatever it holds.

#include <string>
#include <string_view>

#include "config/task_config.h"

namespace minke {

// The answer that stands at `place`, without white space around it; "" where there is none.
std::string_view find_answer(std::string_view response, AnswerPlace place);

// What the last \boxed{...} or \fbox{...} holds, braces inside it included; "" without one that is
// closed.
std::string_view last_boxed(std::string_view text);

// A LaTeX or plain answer in one of its many spellings, made comparable: without $, spaces, \left,
// \text, units and a final full stop; \dfrac as \frac; "x = 5" as "5".
std::string normalise_answer(std::string_view answer);

// The same number, exactly; or the same text, both normalised.
bool same_answer(std::string_view given, std::string_view right);

// The same text but for white space, both normalised; nothing is the same as an empty answer.
bool same_text(std::string_view given, std::string_view right);

// The code of an answer: the last block between lines of three backticks, or else the whole answer.
std::string_view find_code(std::string_view answer);

// Each tag once, in order, nothing before the thinking and an answer after it. Where the prompt
// ends with <think>, the response that is judged begins with that tag all the same.
bool has_format(std::string_view response, FormatRule rule);

// The share of the words of the chain of thought (all in front of </think>, the whole text without
// that tag) that are in the script of a language ("en", "zh" ...): words with any letter of another
// script count against it; numbers, signs, tags and LaTeX's commands are no words. 0 without words.
// An unknown language is a usage Error. The measure is DeepSeek-R1's (arXiv 2501.12948, 2.3.2).
double language_share(std::string_view text, std::string_view language);

}  // namespace minke
