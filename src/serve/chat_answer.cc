#include "serve/chat_answer.h"

#include "api/error.h"
#include "serve/constraints.h"
#include "serve/engine_request.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

// The turns as one text; a model that was not made for conversations goes on at its end.
std::string plain_text(const std::vector<ChatMessage>& messages) {
  std::string text;
  for (const ChatMessage& message : messages) {
    if (!text.empty() && message.role != "assistant") text += "\n";
    text += message.content;
  }
  return text;
}

ChatOptions chat_options(const ChatRequestBody& body, const ChatTemplate& chat_template,
                         std::optional<bool> thinking) {
  ChatOptions options;
  options.thinking = body.thinking ? body.thinking : thinking;
  if (options.thinking == true && !chat_template.can_think())
    refuse_value("thinking", "the model's chat template ({}) does not reason",
                 chat_template.name());
  if (options.thinking == false && !chat_template.can_think()) options.thinking.reset();
  options.continue_final = body.continue_final;
  if (body.tool_choice != ToolChoice::none) options.tools = body.tools_text;
  options.open_reasoning = has_constraint(body);
  return options;
}

}  // namespace

PreparedChat prepare_chat(const ChatRequestBody& body, ServedModel& model,
                          std::optional<bool> thinking) {
  int64_t bytes = 0;
  for (const ChatMessage& message : body.messages)
    bytes += static_cast<int64_t>(message.content.size());
  model.check_text_size("messages", bytes);
  PreparedChat chat;
  chat.request = base_request(body, model);
  chat.one_call = !body.parallel_tool_calls;
  const Tokenizer& tokenizer = model.tokenizer();
  const auto& chat_template = model.chat_template();
  chat.has_template = chat_template.has_value();
  try {
    if (chat_template) {
      const ChatOptions options = chat_options(body, *chat_template, thinking);
      chat.family = chat_template->family();
      chat.has_tools = !options.tools.empty();
      chat.in_reasoning = chat_template->prompt(body.messages, options).in_reasoning;
      chat.request.prompt = chat_template->render(tokenizer, body.messages, options);
      chat.request.stop_tokens = model.stop_tokens();
      chat.request.skip_special = false;  // the parser wants to see tags
    } else {
      if (body.thinking == true || !body.tools.empty())
        refuse_value(body.tools.empty() ? "thinking" : "tools",
                     "the model has no chat template; it neither reasons nor calls tools");
      chat.request.prompt =
          tokenizer.encode(plain_text(body.messages), {tokenizer.adds_bos(), false});
      if (chat.request.prompt.empty() && tokenizer.eos_id())
        chat.request.prompt.push_back(*tokenizer.eos_id());
    }
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "messages");
  }
  chat.request.grammar = make_constraint(body, chat, model);
  return chat;
}

Request another_answer(const PreparedChat& chat, const ChatRequestBody& body, ServedModel& model,
                       int index) {
  Request request = chat.request;
  request.sampling.seed += static_cast<uint64_t>(index);
  if (index > 0) request.grammar = make_constraint(body, chat, model);
  return request;
}

ChatAnswer::ChatAnswer(const PreparedChat& chat, const Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      has_template_(chat.has_template),
      one_call_(chat.one_call),
      at_begin_(chat.has_template && !chat.in_reasoning),
      in_reasoning_(chat.in_reasoning),
      think_begin_(tokenizer.find_special(special::think_begin)),
      think_end_(tokenizer.find_special(special::think_end)),
      parser_(chat.family, chat.in_reasoning, chat.has_tools) {
  message_.role = "assistant";
}

void ChatAnswer::count(const TokenEvent& event) {
  for (const int32_t token : event.tokens) {
    ++tokens_;
    if (at_begin_ && token == think_begin_) in_reasoning_ = true;
    if (token == think_end_) in_reasoning_ = false;
    reasoning_tokens_ += in_reasoning_;
    if (at_begin_)
      at_begin_ = tokenizer_.token_bytes(token).find_first_not_of(" \t\r\n") == std::string::npos;
  }
  cached_tokens_ = std::max(cached_tokens_, event.cached_tokens);
}

void ChatAnswer::keep(const Piece& piece) {
  const ChatDelta& delta = piece.delta;
  switch (delta.kind) {
    case ChatDelta::Kind::content:
      message_.content += delta.text;
      break;
    case ChatDelta::Kind::reasoning:
      message_.reasoning_content += delta.text;
      break;
    case ChatDelta::Kind::tool_name:
      message_.tool_calls.push_back({piece.call_id, delta.text, ""});
      break;
    case ChatDelta::Kind::tool_arguments:
      message_.tool_calls.back().arguments += delta.text;
      break;
  }
}

std::vector<ChatAnswer::Piece> ChatAnswer::take(const TokenEvent& event) {
  count(event);
  finish_ = event.finish;
  stop_string_ = event.stop_string;
  for (ScoredToken& token : scored_tokens(tokenizer_, event.tokens, event.log_probabilities))
    scores_.push_back(std::move(token));
  std::vector<ChatDelta> deltas;
  if (has_template_) {
    deltas = parser_.push(event.text);
    if (has_ended())
      for (ChatDelta& delta : parser_.finish()) deltas.push_back(std::move(delta));
  } else if (!event.text.empty()) {
    deltas.push_back({ChatDelta::Kind::content, event.text});
  }
  std::vector<Piece> pieces;
  for (ChatDelta& delta : deltas) {
    if (one_call_ && delta.index > 0) continue;
    Piece piece{std::move(delta), ""};
    if (piece.delta.kind == ChatDelta::Kind::tool_name) piece.call_id = new_id("call_");
    keep(piece);
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

std::string ChatAnswer::finish_reason() const {
  if (finish_ == FinishReason::length) return "length";
  return message_.tool_calls.empty() ? "stop" : "tool_calls";
}

}  // namespace minke
