#include "chat/conversation.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/machine.h"
#include "config/json.h"

namespace minke {
namespace {

ChatMessage message_of(const std::string& role, const std::string& content) {
  ChatMessage message;
  message.role = role;
  message.content = content;
  return message;
}

using Json = nlohmann::ordered_json;

// The turns as one text; a model that was not made for conversations goes on at its end.
std::string plain_text(const std::vector<ChatMessage>& messages) {
  std::string text;
  for (const ChatMessage& message : messages) {
    if (!text.empty()) text += message.role == "assistant" ? "" : "\n";
    text += message.content;
  }
  return text;
}

}  // namespace

Conversation::Conversation(Engine& engine, const Tokenizer& tokenizer,
                           std::optional<ChatTemplate> chat_template)
    : engine_(engine), tokenizer_(tokenizer), template_(std::move(chat_template)) {}

void Conversation::set_system(const std::string& text) {
  std::erase_if(messages_, [](const ChatMessage& message) { return message.role == "system"; });
  if (!text.empty()) messages_.insert(messages_.begin(), message_of("system", text));
}

void Conversation::reset() {
  std::erase_if(messages_, [](const ChatMessage& message) { return message.role != "system"; });
}

Request Conversation::request(bool& in_reasoning) const {
  Request request;
  request.sampling = settings_.sampling;
  request.max_tokens = settings_.max_tokens;
  if (!template_) {
    request.prompt = tokenizer_.encode(plain_text(messages_), {tokenizer_.adds_bos(), false});
    return request;
  }
  ChatOptions options;
  options.thinking = settings_.thinking;
  in_reasoning = template_->prompt(messages_, options).in_reasoning;
  request.prompt = template_->render(tokenizer_, messages_, options);
  request.stop_tokens = template_->stop_ids(tokenizer_);
  request.skip_special = false;  // the parser wants to see tags
  return request;
}

AnswerStats Conversation::ask(const std::string& text,
                              const std::function<void(const ChatDelta&)>& on_delta,
                              const std::function<bool()>& is_stopped) {
  messages_.push_back(message_of("user", text));
  try {
    return answer(on_delta, is_stopped);
  } catch (const Error&) {
    messages_.pop_back();
    throw;
  }
}

AnswerStats Conversation::regenerate(const std::function<void(const ChatDelta&)>& on_delta,
                                     const std::function<bool()>& is_stopped) {
  if (messages_.empty() || messages_.back().role != "assistant")
    fail_usage("there is no answer to write again");
  ++settings_.sampling.seed;
  const ChatMessage before = std::move(messages_.back());
  messages_.pop_back();
  try {
    return answer(on_delta, is_stopped);
  } catch (const Error&) {
    messages_.push_back(before);
    throw;
  }
}

AnswerStats Conversation::answer(const std::function<void(const ChatDelta&)>& on_delta,
                                 const std::function<bool()>& is_stopped) {
  bool in_reasoning = false;
  Request request = this->request(in_reasoning);
  ChatParser parser(template_ ? template_->family() : ChatFamily::chatml, in_reasoning, false);
  ChatMessage message = message_of("assistant", "");
  const auto take = [&](const std::vector<ChatDelta>& deltas) {
    for (const ChatDelta& delta : deltas) {
      const bool is_reasoning = delta.kind == ChatDelta::Kind::reasoning;
      (is_reasoning ? message.reasoning_content : message.content) += delta.text;
      on_delta(delta);
    }
  };
  AnswerStats stats;
  std::string error;
  const EngineStats before = engine_.stats();
  const double start = now_seconds();
  double first = start;
  request.on_tokens = [&](const TokenEvent& event) {
    if (stats.tokens == 0) first = now_seconds();
    stats.tokens += static_cast<int64_t>(event.tokens.size());
    stats.finish = event.finish;
    error = event.error;
    take(parser.push(event.text));
  };
  const uint64_t id = engine_.submit(std::move(request));
  while (engine_.step())
    if (is_stopped()) engine_.cancel(id);
  if (!error.empty()) fail("{}", error);
  take(parser.finish());
  const EngineStats after = engine_.stats();
  stats.prompt_tokens = after.prompt_tokens - before.prompt_tokens;
  stats.cached_tokens = after.cached_prompt_tokens - before.cached_prompt_tokens;
  stats.prompt_seconds = first - start;
  stats.seconds = now_seconds() - first;
  messages_.push_back(std::move(message));
  return stats;
}

std::string Conversation::to_json() const {
  Json list = Json::array();
  for (const ChatMessage& message : messages_) {
    Json entry = {{"role", message.role}, {"content", message.content}};
    if (!message.reasoning_content.empty()) entry["reasoning_content"] = message.reasoning_content;
    list.push_back(std::move(entry));
  }
  // What a person wrote need not be UTF-8.
  return Json({{"messages", std::move(list)}}).dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

void Conversation::load_json(std::string_view text, std::string_view where) {
  const Json json = parse_json(text, where);
  if (!json.is_object() || !json.contains("messages") || !json["messages"].is_array())
    fail_usage("{}: no conversation; expected an object with the list 'messages'", where);
  std::vector<ChatMessage> messages;
  for (const Json& entry : json["messages"]) {
    const auto text_of = [&](const char* key) {
      if (!entry.is_object() || !entry.contains(key)) return std::string();
      if (!entry[key].is_string())
        fail_usage("{}: '{}' of message {} is no string", where, key, messages.size());
      return entry[key].get<std::string>();
    };
    ChatMessage message = message_of(text_of("role"), text_of("content"));
    message.reasoning_content = text_of("reasoning_content");
    const bool is_known =
        message.role == "system" || message.role == "user" || message.role == "assistant";
    if (!is_known)
      fail_usage("{}: message {} has the role '{}', expected system, user or assistant", where,
                 messages.size(), message.role);
    messages.push_back(std::move(message));
  }
  messages_ = std::move(messages);
}

}  // namespace minke
