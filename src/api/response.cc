#include "api/response.h"

#include <fmt/ranges.h>

#include <cstddef>
#include <span>

#include "api/error.h"
#include "text/utf8.h"

namespace minke {
namespace {

// OpenAI's way to show a token that is no text by itself: "bytes:\xe2\x96".
std::string token_name(const std::string& bytes) {
  if (valid_utf8_prefix(bytes) == bytes.size()) return bytes;
  std::string name = "bytes:";
  for (const char byte : bytes)
    name += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  return name;
}

// JSON has no infinity; OpenAI says -9999 for a token that cannot come.
double finite(double log_probability) { return std::max(log_probability, -9999.0); }

Json token_json(const std::string& text, double log_probability) {
  Json bytes = Json::array();
  for (const char byte : text) bytes.push_back(static_cast<unsigned char>(byte));
  return {{"token", token_name(text)},
          {"logprob", finite(log_probability)},
          {"bytes", std::move(bytes)}};
}

Json head_json(const AnswerHead& head, const char* object) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", "minke"}};
}

// RFC 4648.
std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = i; k < i + 3; ++k)
      group = group << 8 | (k < bytes.size() ? std::to_integer<uint32_t>(bytes[k]) : 0);
    for (int shift = 18; shift >= 0; shift -= 6) text += digits[group >> shift & 63];
  }
  constexpr size_t padding[] = {0, 2, 1};  // by the bytes of the last group
  const size_t padded = padding[bytes.size() % 3];
  return text.replace(text.size() - padded, padded, padded, '=');
}

Json message_json(const ChatMessage& message) {
  Json json = {{"role", "assistant"}};
  if (!message.reasoning_content.empty()) json["reasoning_content"] = message.reasoning_content;
  const bool is_call = message.content.empty() && !message.tool_calls.empty();
  json["content"] = is_call ? Json(nullptr) : Json(message.content);
  json["refusal"] = nullptr;
  if (message.tool_calls.empty()) return json;
  json["tool_calls"] = Json::array();
  for (const ToolCall& call : message.tool_calls)
    json["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  return json;
}

}  // namespace

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_cache_hit_tokens", usage.cached_tokens},
          {"prompt_cache_miss_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

Usage parse_usage(const Json& json) {
  const Fields fields(json, "usage");
  const auto count = [&](const char* name) {
    return fields.integer(name, 0, int64_t{1} << 40).value_or(0);
  };
  Usage usage;
  usage.prompt_tokens = count("prompt_tokens");
  usage.completion_tokens = count("completion_tokens");
  usage.cached_tokens = count("prompt_cache_hit_tokens");
  if (const Json* details = fields.object("completion_tokens_details"))
    usage.reasoning_tokens = Fields(*details, "usage.completion_tokens_details")
                                 .integer("reasoning_tokens", 0, int64_t{1} << 40)
                                 .value_or(0);
  return usage;
}

Json chat_logprobs_json(const std::vector<ScoredToken>& tokens) {
  Json content = Json::array();
  for (const ScoredToken& token : tokens) {
    Json entry = token_json(token.text, token.log_probability.value_or(0));
    entry["top_logprobs"] = Json::array();
    for (const auto& [text, log_probability] : token.top)
      entry["top_logprobs"].push_back(token_json(text, log_probability));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

int64_t TextOffset::next(const ScoredToken& token) {
  int64_t offset = characters_;
  if (!token.in_text || token.text.empty()) return offset;
  const bool goes_on = (token.text[0] & 0xc0) == 0x80;
  if (!goes_on) offset += static_cast<int64_t>(pending_.size());  // each U+FFFD, see repair_utf8()
  pending_ += token.text;
  const size_t whole = pending_.size() - incomplete_utf8_suffix(pending_);
  for (const char byte : repair_utf8(std::string_view(pending_).substr(0, whole)))
    characters_ += (byte & 0xc0) != 0x80;  // all but what continues a character
  pending_.erase(0, whole);
  return offset;
}

Json completion_logprobs_json(const std::vector<ScoredToken>& tokens, TextOffset& offset) {
  Json json = {{"tokens", Json::array()},
               {"token_logprobs", Json::array()},
               {"top_logprobs", Json::array()},
               {"text_offset", Json::array()}};
  for (const ScoredToken& token : tokens) {
    json["tokens"].push_back(token_name(token.text));
    json["text_offset"].push_back(offset.next(token));
    if (!token.log_probability) {
      json["token_logprobs"].push_back(nullptr);
      json["top_logprobs"].push_back(nullptr);
      continue;
    }
    json["token_logprobs"].push_back(finite(*token.log_probability));
    Json top = Json::object();
    for (const auto& [text, log_probability] : token.top)
      top.emplace(token_name(text), finite(log_probability));
    // The token that came is in the list even when others are more likely.
    if (!token.top.empty()) top.emplace(token_name(token.text), finite(*token.log_probability));
    json["top_logprobs"].push_back(std::move(top));
  }
  return json;
}

Json to_json(const ChatCompletion& completion) {
  Json json = head_json(completion.head, "chat.completion");
  json["choices"] = Json::array();
  for (const ChatChoice& choice : completion.choices)
    json["choices"].push_back(
        {{"index", choice.index},
         {"message", message_json(choice.message)},
         {"logprobs", choice.logprobs ? chat_logprobs_json(*choice.logprobs) : Json(nullptr)},
         {"finish_reason", choice.finish_reason}});
  json["usage"] = usage_json(completion.usage);
  return json;
}

ChatCompletion parse_chat_completion(const Json& json) {
  const Fields body(json, "");
  ChatCompletion completion;
  completion.head = {body.required_string("id"), body.required_string("model"),
                     body.integer("created", 0, int64_t{1} << 40).value_or(0)};
  body.require("choices");
  for (const Json& entry : *body.list("choices")) {
    const Fields fields(entry, "choices[]");
    const Fields message(fields.require("message"), "choices[].message");
    ChatChoice choice;
    choice.index = static_cast<int>(fields.integer("index", 0, 1 << 20).value_or(0));
    choice.finish_reason = fields.string("finish_reason").value_or("");
    choice.message.role = "assistant";
    choice.message.content = message.string("content").value_or("");
    choice.message.reasoning_content = message.string("reasoning_content").value_or("");
    if (const Json* calls = message.list("tool_calls"))
      for (const Json& call : *calls) {
        const Fields call_fields(call, "tool_calls[]");
        const Fields function(call_fields.require("function"), "tool_calls[].function");
        choice.message.tool_calls.push_back({call_fields.string("id").value_or(""),
                                             function.required_string("name"),
                                             function.required_string("arguments")});
      }
    completion.choices.push_back(std::move(choice));
  }
  if (const Json* usage = body.object("usage")) completion.usage = parse_usage(*usage);
  return completion;
}

Json completion_json(const AnswerHead& head, const std::vector<CompletionChoice>& choices,
                     const Usage& usage) {
  Json json = head_json(head, "text_completion");
  json["choices"] = Json::array();
  for (const CompletionChoice& choice : choices)
    json["choices"].push_back({{"text", choice.text},
                               {"index", choice.index},
                               {"logprobs", choice.logprobs.value_or(Json(nullptr))},
                               {"finish_reason", choice.finish_reason}});
  json["usage"] = usage_json(usage);
  return json;
}

AnswerChunks::AnswerChunks(const AnswerHead& head, const char* object, bool wants_usage)
    : head_(to_text(head_json(head, object))), tail_(wants_usage ? "],\"usage\":null}" : "]}") {
  head_.back() = ',';
  head_ += "\"choices\":[";
}

std::string AnswerChunks::usage(const Usage& usage) const {
  return head_ + "],\"usage\":" + to_text(usage_json(usage)) + "}";
}

std::string ChatChunks::chunk(int index, std::string_view delta, const Json* logprobs,
                              const std::string& finish_reason) const {
  std::string text = head_;
  text += fmt::format("{{\"index\":{},\"delta\":{},\"logprobs\":", index, delta);
  text += logprobs ? to_text(*logprobs) : "null";
  text += ",\"finish_reason\":";
  text += finish_reason.empty() ? "null" : '"' + finish_reason + '"';
  return text + "}" + tail_;
}

std::string ChatChunks::role(int index) const {
  return chunk(index, R"({"role":"assistant","content":""})", nullptr, "");
}

std::string ChatChunks::delta(int index, const ChatDelta& delta, const std::string& call_id,
                              const Json* logprobs) const {
  std::string text;
  switch (delta.kind) {
    case ChatDelta::Kind::content:
    case ChatDelta::Kind::reasoning:
      text = delta.kind == ChatDelta::Kind::content ? "{\"content\":" : "{\"reasoning_content\":";
      append_json_string(text, delta.text);
      text += '}';
      break;
    case ChatDelta::Kind::tool_name:
      text = to_text({{"tool_calls",
                       Json::array({{{"index", delta.index},
                                     {"id", call_id},
                                     {"type", "function"},
                                     {"function", {{"name", delta.text}, {"arguments", ""}}}}})}});
      break;
    case ChatDelta::Kind::tool_arguments:
      text = to_text({{"tool_calls", Json::array({{{"index", delta.index},
                                                   {"function", {{"arguments", delta.text}}}}})}});
      break;
  }
  return chunk(index, text, logprobs, "");
}

std::string ChatChunks::finish(int index, const std::string& reason, const Json* logprobs) const {
  return chunk(index, "{}", logprobs, reason);
}

std::string CompletionChunks::text(int index, std::string_view text, const Json* logprobs,
                                   const std::string& finish_reason) const {
  std::string chunk = head_ + "{\"text\":";
  append_json_string(chunk, text);
  chunk += fmt::format(",\"index\":{},\"logprobs\":", index);
  chunk += logprobs ? to_text(*logprobs) : "null";
  chunk += ",\"finish_reason\":";
  chunk += finish_reason.empty() ? "null" : '"' + finish_reason + '"';
  return chunk + "}" + tail_;
}

std::string embeddings_text(const std::string& model,
                            const std::vector<std::vector<float>>& embeddings, bool as_base64,
                            int64_t prompt_tokens) {
  std::string text = R"({"object":"list","data":[)";
  for (size_t i = 0; i < embeddings.size(); ++i) {
    text += fmt::format(R"({}{{"object":"embedding","index":{},"embedding":)", i ? "," : "", i);
    if (as_base64)
      text += '"' + base64(std::as_bytes(std::span(embeddings[i]))) + '"';
    else
      text += fmt::format("[{}]", fmt::join(embeddings[i], ","));
    text += '}';
  }
  text += "],\"model\":";
  append_json_string(text, model);
  return text +
         fmt::format(R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})", prompt_tokens);
}

Json model_json(const std::string& name) {
  return {{"id", name}, {"object", "model"}, {"created", 0}, {"owned_by", "minke"}};
}

Json models_json(const std::vector<std::string>& names) {
  Json data = Json::array();
  for (const std::string& name : names) data.push_back(model_json(name));
  return {{"object", "list"}, {"data", std::move(data)}};
}

}  // namespace minke
