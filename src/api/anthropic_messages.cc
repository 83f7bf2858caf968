// Anthropic's Messages.
#include "api/blocks.h"

#include "api/error.h"
#include "base/error.h"
#include "config/json.h"

namespace minke {
namespace {

using Kind = AnswerBlock::Kind;

// One of Anthropic's messages: its text, calls and reasoning, and before it the results of tools.
void add_message(const Json& json, const std::string& path, ChatTranslation& chat) {
  const Fields message(json, path);
  const std::string role = message.required_string("role"), content_path = message.path("content");
  const Json& content = message.require("content");
  if (!content.is_array())
    return chat.add_message({{"role", role}, {"content", content}}, path, content_path);
  Json out = {{"role", role}, {"content", Json::array()}};
  std::vector<std::string> parts;  // the paths of what stays content
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string block_path = fmt::format("{}[{}]", content_path, i);
    const Fields block(content[i], block_path);
    const std::string type = block.required_string("type");
    if (type == "tool_use") {
      const Json* input = block.object("input");
      out["tool_calls"].push_back({{"id", block.required_string("id")},
                                   {"type", "function"},
                                   {"function",
                                    {{"name", block.required_string("name")},
                                     {"arguments", to_text(input ? *input : Json::object())}}}});
    } else if (type == "tool_result") {
      const Json* result = block.find("content");
      chat.add_message({{"role", "tool"},
                        {"tool_call_id", block.required_string("tool_use_id")},
                        {"content", result ? *result : Json("")}},
                       block_path, block.path("content"));
    } else if (type == "thinking") {
      out["reasoning_content"] = block.required_string("thinking");
    } else if (type != "redacted_thinking") {
      out["content"].push_back(content[i]);
      parts.push_back(block_path);
    }
  }
  const bool has_results_only =
      out["content"].empty() && !out.contains("tool_calls") && !out.contains("reasoning_content");
  if (has_results_only) return;
  const size_t index = chat.body()["messages"].size();
  chat.add_message(std::move(out), path, content_path);
  for (size_t i = 0; i < parts.size(); ++i)
    if (parts[i] != fmt::format("{}[{}]", content_path, i))
      chat.add_origin(fmt::format("messages[{}].content[{}]", index, i), parts[i]);
}

void add_tool_choice(const Json& json, ChatTranslation& chat) {
  const Fields choice(json, "tool_choice");
  const std::string type = choice.required_string("type");
  if (type == "tool")
    chat.set("tool_choice",
             {{"type", "function"}, {"function", {{"name", choice.required_string("name")}}}});
  else if (type == "auto" || type == "any" || type == "none")
    chat.set("tool_choice", type == "any" ? "required" : type);
  else
    refuse_value("tool_choice.type", "tool_choice.type is {}; expected auto, any, tool or none",
                 shown(type));
  if (choice.boolean("disable_parallel_tool_use").value_or(false))
    chat.set("parallel_tool_calls", false);
}

std::string stop_reason(const AnswerEnd& end) {
  if (!end.stop_string.empty()) return "stop_sequence";
  if (end.reason == "length") return "max_tokens";
  return end.reason == "tool_calls" ? "tool_use" : "end_turn";
}

Json stop_string(const AnswerEnd& end) {
  return end.stop_string.empty() ? Json(nullptr) : Json(end.stop_string);
}

Json anthropic_usage(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

// What the model wrote is an object nearly always; when it is not, nothing is lost.
Json input_of(const AnswerBlock& call) {
  if (call.text.empty()) return Json::object();
  try {
    if (Json input = parse_json(call.text, "input"); input.is_object()) return input;
  } catch (const Error&) {  // no JSON, or nested too deep to be written again
  }
  return {{"text", call.text}};
}

Json block_json(const AnswerBlock& block) {
  if (block.kind == Kind::reasoning)
    return {{"type", "thinking"}, {"thinking", block.text}, {"signature", ""}};
  if (block.kind == Kind::text) return {{"type", "text"}, {"text", block.text}};
  return {{"type", "tool_use"}, {"id", block.id}, {"name", block.name}, {"input", input_of(block)}};
}

class MessagesEvents : public BlockEvents {
 public:
  explicit MessagesEvents(AnswerHead head) : head_(std::move(head)) {}

  // What of the prompt is in the cache is not known yet: message_delta tells.
  std::vector<Event> begin(int64_t prompt_tokens) override {
    Json message = messages_json(head_, {}, {{}, {}, {.prompt_tokens = prompt_tokens}});
    message["stop_reason"] = nullptr;
    return {event("message_start", {{"message", std::move(message)}})};
  }
  std::vector<Event> open(size_t index, const AnswerBlock& block) override {
    return {event(
        "content_block_start",
        {{"index", index}, {"content_block", block_json({block.kind, block.id, block.name})}})};
  }
  std::vector<Event> add(size_t index, const AnswerBlock& block, const std::string& text) override {
    Json delta;
    if (block.kind == Kind::reasoning)
      delta = {{"type", "thinking_delta"}, {"thinking", text}};
    else if (block.kind == Kind::text)
      delta = {{"type", "text_delta"}, {"text", text}};
    else
      delta = {{"type", "input_json_delta"}, {"partial_json", text}};
    return {event("content_block_delta", {{"index", index}, {"delta", std::move(delta)}})};
  }
  std::vector<Event> close(size_t index, const AnswerBlock&) override {
    return {event("content_block_stop", {{"index", index}})};
  }
  std::vector<Event> end(const std::vector<AnswerBlock>&, const AnswerEnd& end) override {
    return {
        event("message_delta",
              {{"delta", {{"stop_reason", stop_reason(end)}, {"stop_sequence", stop_string(end)}}},
               {"usage", anthropic_usage(end.usage)}}),
        event("message_stop", Json::object())};
  }
  Event fail(const ApiError& error) override { return {"error", anthropic_error_json(error)}; }

 private:
  static Event event(const std::string& name, const Json& fields) {
    Json json = {{"type", name}};
    json.update(fields);
    return {name, to_text(json)};
  }
  AnswerHead head_;
};

}  // namespace

ChatTranslation chat_of_messages(const Json& json) {
  const Fields body(json, "");
  ChatTranslation chat;
  body.require("max_tokens");
  for (const char* name :
       {"model", "temperature", "top_p", "top_k", "stream", "thinking", "max_tokens"})
    chat.copy(json, name, name);
  chat.copy(json, "stop_sequences", "stop");
  if (const Json* system = body.find("system"))
    chat.add_message({{"role", "system"}, {"content", *system}}, "system", "system");
  body.require("messages");
  const Json& list = *body.list("messages");
  for (size_t i = 0; i < list.size(); ++i)
    add_message(list[i], fmt::format("messages[{}]", i), chat);
  if (Json* last = chat.last_message(); last && (*last)["role"] == "assistant")
    (*last)["prefix"] = true;
  if (const Json* tools = body.list("tools")) chat.add_tools(*tools, "input_schema");
  if (const Json* choice = body.object("tool_choice")) add_tool_choice(*choice, chat);
  return chat;
}

Json messages_json(const AnswerHead& head, const std::vector<AnswerBlock>& blocks,
                   const AnswerEnd& end) {
  Json content = Json::array();
  for (const AnswerBlock& block : blocks) content.push_back(block_json(block));
  return {{"id", head.id},
          {"type", "message"},
          {"role", "assistant"},
          {"model", head.model},
          {"content", std::move(content)},
          {"stop_reason", stop_reason(end)},
          {"stop_sequence", stop_string(end)},
          {"usage", anthropic_usage(end.usage)}};
}

std::unique_ptr<BlockEvents> messages_events(AnswerHead head) {
  return std::make_unique<MessagesEvents>(std::move(head));
}

}  // namespace minke
