#include "post/prompt.h"

#include "text/special_tokens.h"

namespace minke {

Prompt make_prompt(const std::string& text, const Tokenizer& tokenizer, const ChatTemplate* chat) {
  if (!chat) return {tokenizer.encode(text, {tokenizer.adds_bos()}), opened_thinking(text), {}};
  ChatMessage message;
  message.role = "user";
  message.content = text;
  const std::vector<ChatMessage> messages = {std::move(message)};
  const bool thinks = chat->prompt(messages, {}).in_reasoning;
  return {chat->render(tokenizer, messages, {}), thinks ? std::string(special::think_begin) : "",
          chat->stop_ids(tokenizer)};
}

std::string opened_thinking(std::string_view text) {
  const size_t end = text.find_last_not_of(" \t\r\n");
  if (end == text.npos || !text.substr(0, end + 1).ends_with(special::think_begin)) return "";
  return std::string(special::think_begin);
}

std::string fill_template(const std::string& prompt_template, const Problem& problem) {
  std::string text = prompt_template;
  return text.replace(text.find("{}"), 2, problem.prompt);
}

}  // namespace minke
