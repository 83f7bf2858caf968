// The body of a chat completion.
#include "api/error.h"
#include "api/request.h"
#include "config/json.h"

namespace minke {
namespace {

constexpr size_t most_messages = 4096;
constexpr size_t most_tools = 128;

ToolCall parse_tool_call(const Json& json, const std::string& path) {
  const Fields call(json, path);
  const Fields function(call.require("function"), call.path("function"));
  ToolCall result;
  result.id = call.string("id").value_or("");
  result.name = function.required_string("name");
  result.arguments = function.string("arguments").value_or("{}");
  return result;
}

// A string, or the texts of a list of {"type": "text", "text": ...}; null is "".
std::string content_text(const Json* content, const std::string& path) {
  if (!content || content->is_null()) return "";
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) refuse_form(path, "{} is {}, no text", path, shown(*content));
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    const Fields part((*content)[i], fmt::format("{}[{}]", path, i));
    const std::string type = part.required_string("type");
    if (type != "text" && type != "input_text" && type != "output_text")
      refuse_value(part.path("type"), "{} is {}; this model reads text only", part.path("type"),
                   shown(type));
    text += part.required_string("text");
  }
  return text;
}

ChatMessage parse_message(const Json& json, const std::string& path, bool& prefix) {
  const Fields fields(json, path);
  ChatMessage message;
  message.role = fields.required_string("role");
  const bool is_known = message.role == "system" || message.role == "developer" ||
                        message.role == "user" || message.role == "assistant" ||
                        message.role == "tool";
  if (!is_known)
    refuse_value(fields.path("role"),
                 "{} is {}; expected system, developer, user, assistant or tool",
                 fields.path("role"), shown(message.role));
  message.content = content_text(fields.find("content"), fields.path("content"));
  message.reasoning_content = fields.string("reasoning_content").value_or("");
  message.tool_call_id = fields.string("tool_call_id").value_or("");
  message.name = fields.string("name").value_or("");
  if (const Json* calls = fields.list("tool_calls"))
    for (size_t i = 0; i < calls->size(); ++i)
      message.tool_calls.push_back(
          parse_tool_call((*calls)[i], fmt::format("{}[{}]", fields.path("tool_calls"), i)));
  prefix = fields.boolean("prefix").value_or(false);
  return message;
}

void parse_messages(const Fields& body, ChatRequestBody& request) {
  body.require("messages");
  const Json& list = *body.list("messages");
  if (list.empty()) refuse_form("messages", "messages is empty; send at least one");
  if (list.size() > most_messages)
    refuse_value("messages", "{} messages; at most {}", list.size(), most_messages);
  for (size_t i = 0; i < list.size(); ++i) {
    bool prefix = false;
    const std::string path = fmt::format("messages[{}]", i);
    request.messages.push_back(parse_message(list[i], path, prefix));
    if (!prefix) continue;
    if (i + 1 != list.size() || request.messages.back().role != "assistant")
      refuse_value(path + ".prefix", "only a last message of the assistant can be a prefix");
    request.continue_final = true;
  }
}

bool is_function_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
             std::string::npos;
}

void parse_tools(const Json& list, ChatRequestBody& request) {
  if (list.size() > most_tools)
    refuse_value("tools", "{} tools; at most {}", list.size(), most_tools);
  Json shown_to_model = Json::array();
  for (size_t i = 0; i < list.size(); ++i) {
    const Fields tool(list[i], fmt::format("tools[{}]", i));
    const std::string type = tool.string("type").value_or("function");
    if (type != "function")
      refuse_value(tool.path("type"), "{} is {}; expected function", tool.path("type"),
                   shown(type));
    const Fields function(tool.require("function"), tool.path("function"));
    ToolDefinition definition;
    definition.name = function.required_string("name");
    if (!is_function_name(definition.name))
      refuse_value(function.path("name"), "{} is {}; expected letters, digits, _ and -, at most 64",
                   function.path("name"), shown(definition.name));
    function.string("description");
    if (const Json* parameters = function.object("parameters")) definition.parameters = *parameters;
    definition.strict = function.boolean("strict").value_or(false);
    request.tools.push_back(std::move(definition));
    Json copy = list[i];
    copy["type"] = "function";
    copy["function"].erase("strict");
    shown_to_model.push_back(std::move(copy));
  }
  if (!list.empty()) request.tools_text = to_text(shown_to_model);
}

void parse_tool_choice(const Fields& body, ChatRequestBody& request) {
  const Json* choice = body.find("tool_choice");
  if (!choice) return;
  if (choice->is_string()) {
    const std::string name = choice->get<std::string>();
    if (name == "none")
      request.tool_choice = ToolChoice::none;
    else if (name == "required")
      request.tool_choice = ToolChoice::required;
    else if (name != "auto")
      refuse_value("tool_choice", "tool_choice is {}; expected none, auto, required or a function",
                   shown(*choice));
  } else {
    const Fields fields(*choice, "tool_choice");
    const Fields function(fields.require("function"), "tool_choice.function");
    request.tool_choice = ToolChoice::function;
    request.chosen_function = function.required_string("name");
  }
  if (request.tools.empty() && request.tool_choice != ToolChoice::none)
    refuse_value("tool_choice", "tool_choice without tools");
  const auto is_chosen = [&](const ToolDefinition& tool) {
    return tool.name == request.chosen_function;
  };
  if (request.tool_choice == ToolChoice::function &&
      std::none_of(request.tools.begin(), request.tools.end(), is_chosen))
    refuse_value("tool_choice", "tool_choice names {}, which is none of the tools",
                 shown(request.chosen_function));
}

void parse_format(const Fields& body, ResponseFormat& format) {
  const Json* json = body.object("response_format");
  if (!json) return;
  const Fields fields(*json, "response_format");
  const std::string type = fields.required_string("type");
  if (type == "text") return;
  if (type == "json_object") {
    format.kind = ResponseFormat::Kind::json_object;
    format.schema = Json{{"type", "object"}};
  } else if (type == "json_schema") {
    const Fields schema(fields.require("json_schema"), "response_format.json_schema");
    format.kind = ResponseFormat::Kind::json_schema;
    format.schema = schema.require("schema");
  } else {
    refuse_value("response_format.type",
                 "response_format.type is {}; expected text, json_object or json_schema",
                 shown(type));
  }
}

// DeepSeek's "thinking", vLLM's chat_template_kwargs, OpenAI's reasoning_effort.
void parse_thinking(const Fields& body, ChatRequestBody& request) {
  if (const Json* arguments = body.object("chat_template_kwargs")) {
    const Fields fields(*arguments, "chat_template_kwargs");
    request.thinking = fields.boolean("thinking");
    if (const auto enabled = fields.boolean("enable_thinking")) request.thinking = enabled;
  }
  if (const auto effort = body.string("reasoning_effort")) request.thinking = *effort != "none";
  request.thinking_budget = body.integer("thinking_budget", 0, int64_t{1} << 32);
  if (const Json* thinking = body.object("thinking")) {
    const Fields fields(*thinking, "thinking");
    const std::string type = fields.required_string("type");
    if (type != "enabled" && type != "disabled" && type != "auto" && type != "adaptive")
      refuse_value("thinking.type", "thinking.type is {}; expected enabled or disabled",
                   shown(type));
    if (type == "enabled" || type == "disabled") request.thinking = type == "enabled";
    if (const auto budget = fields.integer("budget_tokens", 0, int64_t{1} << 32))
      request.thinking_budget = budget;
  }
}

void parse_chat_logprobs(const Fields& body, ChatRequestBody& request) {
  const bool wanted = body.boolean("logprobs").value_or(false);
  const auto top = body.integer("top_logprobs", 0, most_top_logprobs);
  if (top && !wanted) refuse_value("top_logprobs", "top_logprobs needs logprobs: true");
  if (wanted) request.top_logprobs = top.value_or(0);
}

}  // namespace

ChatRequestBody parse_chat_request(const Json& json) {
  const Fields body(json, "");
  ChatRequestBody request;
  parse_text_request(body, request);
  if (request.max_tokens == 0) refuse_value("max_tokens", "max_tokens is 0; expected at least 1");
  parse_messages(body, request);
  if (const Json* tools = body.list("tools")) parse_tools(*tools, request);
  parse_tool_choice(body, request);
  request.parallel_tool_calls = body.boolean("parallel_tool_calls").value_or(true);
  parse_format(body, request.format);
  parse_thinking(body, request);
  parse_chat_logprobs(body, request);
  return request;
}

}  // namespace minke
