#pragma once
// How a problem becomes what a model reads.

#include <string>
#include <string_view>
#include <vector>

#include "post/problem.h"
#include "text/chat_template.h"

namespace minke {

struct Prompt {
  std::vector<int32_t> tokens;
  std::string
      prefix;  // what it has begun of the answer, which is judged with it: opened_thinking()
  std::vector<int32_t> stop_tokens;  // that end an answer, beside the tokenizer's EOS
};

// A text as a user's turn of the chat template; without one as it is, with BOS in front where the
// tokenizer adds it.
Prompt make_prompt(const std::string& text, const Tokenizer& tokenizer, const ChatTemplate* chat);

// "<think>" where a text ends with that tag, white space aside: what follows is the thinking.
std::string opened_thinking(std::string_view text);

// A problem's prompt in a template, where it stands for {}.
std::string fill_template(const std::string& prompt_template, const Problem& problem);

}  // namespace minke
