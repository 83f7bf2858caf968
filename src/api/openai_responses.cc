// OpenAI's Responses: text and function tools.
#include "api/blocks.h"
#include "api/error.h"
#include "config/json.h"

namespace minke {
namespace {

using Kind = AnswerBlock::Kind;

void add_item(const Json& json, const std::string& path, ChatTranslation& chat) {
  const Fields item(json, path);
  const std::string type = item.string("type").value_or("message");
  if (type == "message") {
    const Json* content = item.find("content");
    chat.add_message(
        {{"role", item.required_string("role")}, {"content", content ? *content : Json("")}}, path,
        item.path("content"));
  } else if (type == "function_call") {
    const Json call = {{"id", item.required_string("call_id")},
                       {"type", "function"},
                       {"function",
                        {{"name", item.required_string("name")},
                         {"arguments", item.required_string("arguments")}}}};
    // Calls of one turn belong to one message.
    const Json* last = chat.last_message();
    if (!last || (*last)["role"] != "assistant")
      chat.add_message({{"role", "assistant"}, {"content", ""}}, path, item.path("content"));
    (*chat.last_message())["tool_calls"].push_back(call);
  } else if (type == "function_call_output") {
    chat.add_message({{"role", "tool"},
                      {"tool_call_id", item.required_string("call_id")},
                      {"content", item.require("output")}},
                     path, item.path("output"));
  } else if (type != "reasoning") {
    refuse_value(item.path("type"),
                 "{} is {}; expected message, function_call or "
                 "function_call_output",
                 item.path("type"), shown(type));
  }
}

void check_tools(const Json& tools) {
  for (size_t i = 0; i < tools.size(); ++i) {
    const Fields tool(tools[i], fmt::format("tools[{}]", i));
    if (tool.required_string("type") != "function")
      refuse_value(tool.path("type"), "{} is {}; only functions are known", tool.path("type"),
                   shown(tools[i]["type"]));
  }
}

void add_format(const Fields& body, ChatTranslation& chat) {
  const Json* text = body.object("text");
  const Json* format = text ? Fields(*text, "text").object("format") : nullptr;
  if (!format) return;
  const std::string type = Fields(*format, "text.format").required_string("type");
  Json chat_format = {{"type", type}};
  if (type == "json_schema") chat_format["json_schema"] = *format;
  chat.set("response_format", std::move(chat_format));
  chat.add_origin("response_format", "text.format");
  chat.add_origin("response_format.json_schema", "text.format");
}

void add_tool_choice(const Fields& body, ChatTranslation& chat) {
  const Json* choice = body.find("tool_choice");
  if (!choice) return;
  if (!choice->is_object()) return chat.set("tool_choice", *choice);
  const std::string name = Fields(*choice, "tool_choice").required_string("name");
  chat.set("tool_choice", {{"type", "function"}, {"function", {{"name", name}}}});
}

void add_reasoning(const Fields& body, ChatTranslation& chat) {
  const Json* reasoning = body.object("reasoning");
  if (!reasoning) return;
  const auto effort = Fields(*reasoning, "reasoning").string("effort");
  if (!effort) return;
  chat.set("reasoning_effort", *effort);
  chat.add_origin("reasoning_effort", "reasoning.effort");
  chat.add_origin("thinking", "reasoning.effort");
}

Json text_part(const std::string& text) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", Json::array()},
          {"logprobs", Json::array()}};
}

Json item_json(const AnswerBlock& block, bool has_ended) {
  const char* status = !has_ended ? "in_progress" : block.is_cut ? "incomplete" : "completed";
  if (block.kind == Kind::reasoning)
    return {{"type", "reasoning"},
            {"id", block.id},
            {"summary", Json::array()},
            {"content", Json::array({{{"type", "reasoning_text"}, {"text", block.text}}})},
            {"status", status}};
  if (block.kind == Kind::text)
    return {{"type", "message"},
            {"id", block.id},
            {"status", status},
            {"role", "assistant"},
            {"content", has_ended ? Json::array({text_part(block.text)}) : Json::array()}};
  return {{"type", "function_call"}, {"id", "fc_" + block.id},  {"call_id", block.id},
          {"name", block.name},      {"arguments", block.text}, {"status", status}};
}

Json responses_usage(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

class ResponsesEvents : public BlockEvents {
 public:
  ResponsesEvents(AnswerHead head, Json asked) : head_(std::move(head)), asked_(std::move(asked)) {}

  std::vector<Event> begin(int64_t) override {
    const Json response = responses_json(head_, asked_, {}, nullptr);
    return {event("response.created", {{"response", response}}),
            event("response.in_progress", {{"response", response}})};
  }
  std::vector<Event> open(size_t index, const AnswerBlock& block) override {
    std::vector<Event> events = {
        event("response.output_item.added",
              {{"output_index", index}, {"item", item_json(block, false)}})};
    if (block.kind == Kind::text)
      events.push_back(event("response.content_part.added",
                             with_place(index, block, {{"part", text_part("")}})));
    return events;
  }
  std::vector<Event> add(size_t index, const AnswerBlock& block, const std::string& text) override {
    if (block.kind == Kind::call)
      return {event("response.function_call_arguments.delta",
                    {{"item_id", "fc_" + block.id}, {"output_index", index}, {"delta", text}})};
    if (block.kind == Kind::reasoning)
      return {event("response.reasoning_text.delta", with_place(index, block, {{"delta", text}}))};
    return {event("response.output_text.delta",
                  with_place(index, block, {{"delta", text}, {"logprobs", Json::array()}}))};
  }
  std::vector<Event> close(size_t index, const AnswerBlock& block) override {
    std::vector<Event> events;
    if (block.kind == Kind::call) {
      if (!block.is_cut)  // half a call is not to be made
        events.push_back(
            event("response.function_call_arguments.done", {{"item_id", "fc_" + block.id},
                                                            {"output_index", index},
                                                            {"name", block.name},
                                                            {"arguments", block.text}}));
    } else if (block.kind == Kind::reasoning) {
      events.push_back(
          event("response.reasoning_text.done", with_place(index, block, {{"text", block.text}})));
    } else {
      events.push_back(
          event("response.output_text.done",
                with_place(index, block, {{"text", block.text}, {"logprobs", Json::array()}})));
      events.push_back(event("response.content_part.done",
                             with_place(index, block, {{"part", text_part(block.text)}})));
    }
    events.push_back(event("response.output_item.done",
                           {{"output_index", index}, {"item", item_json(block, true)}}));
    return events;
  }
  std::vector<Event> end(const std::vector<AnswerBlock>& blocks, const AnswerEnd& end) override {
    const char* name = end.reason == "length" ? "response.incomplete" : "response.completed";
    return {event(name, {{"response", responses_json(head_, asked_, blocks, &end)}})};
  }
  Event fail(const ApiError& error) override {
    return event("error", {{"code", error_type(error.status)},
                           {"message", error.what()},
                           {"param", error.param.empty() ? Json(nullptr) : Json(error.param)}});
  }

 private:
  Event event(const std::string& name, const Json& fields) {
    Json json = {{"type", name}, {"sequence_number", sequence_++}};
    json.update(fields);
    return {name, to_text(json)};
  }
  static Json with_place(size_t index, const AnswerBlock& block, const Json& fields) {
    Json json = {{"item_id", block.id}, {"output_index", index}, {"content_index", 0}};
    json.update(fields);
    return json;
  }

  AnswerHead head_;
  Json asked_;
  int64_t sequence_ = 0;
};

}  // namespace

ChatTranslation chat_of_responses(const Json& json) {
  const Fields body(json, "");
  for (const char* name : {"previous_response_id", "conversation", "prompt"})
    if (body.find(name))
      refuse_value(name, "{} is not known: nothing is stored; send the whole conversation", name);
  if (body.boolean("background").value_or(false))
    refuse_value("background", "answers are not made in the background");
  ChatTranslation chat;
  for (const char* name :
       {"model", "temperature", "top_p", "stream", "parallel_tool_calls", "seed"})
    chat.copy(json, name, name);
  chat.copy(json, "max_output_tokens", "max_completion_tokens");
  if (const auto instructions = body.string("instructions"))
    chat.add_message({{"role", "system"}, {"content", *instructions}}, "instructions",
                     "instructions");
  chat.add_origin("messages", "input");
  const Json& input = body.require("input");
  if (input.is_string()) {
    chat.add_message({{"role", "user"}, {"content", input}}, "input", "input");
  } else {
    const Json& list = *body.list("input");
    for (size_t i = 0; i < list.size(); ++i) add_item(list[i], fmt::format("input[{}]", i), chat);
  }
  if (const Json* tools = body.list("tools")) {
    check_tools(*tools);
    chat.add_tools(*tools, "parameters");
  }
  add_tool_choice(body, chat);
  add_format(body, chat);
  add_reasoning(body, chat);
  return chat;
}

Json responses_json(const AnswerHead& head, const Json& asked,
                    const std::vector<AnswerBlock>& blocks, const AnswerEnd* end) {
  const bool is_cut = end && end->reason == "length";
  Json output = Json::array();
  for (const AnswerBlock& block : blocks) output.push_back(item_json(block, true));
  const auto asked_for = [&](const char* name, const Json& otherwise) {
    return asked.contains(name) && !asked[name].is_null() ? asked[name] : otherwise;
  };
  return {{"id", head.id},
          {"object", "response"},
          {"created_at", head.created},
          {"status", !end     ? "in_progress"
                     : is_cut ? "incomplete"
                              : "completed"},
          {"error", nullptr},
          {"incomplete_details", is_cut ? Json{{"reason", "max_output_tokens"}} : Json(nullptr)},
          {"instructions", asked_for("instructions", nullptr)},
          {"max_output_tokens", asked_for("max_output_tokens", nullptr)},
          {"metadata", asked_for("metadata", Json::object())},
          {"model", head.model},
          {"output", std::move(output)},
          {"parallel_tool_calls", asked_for("parallel_tool_calls", true)},
          {"previous_response_id", nullptr},
          {"reasoning", asked_for("reasoning", Json{{"effort", nullptr}, {"summary", nullptr}})},
          {"store", false},
          {"temperature", asked_for("temperature", nullptr)},
          {"text", asked_for("text", Json{{"format", {{"type", "text"}}}})},
          {"tool_choice", asked_for("tool_choice", "auto")},
          {"tools", asked_for("tools", Json::array())},
          {"top_p", asked_for("top_p", nullptr)},
          {"truncation", "disabled"},
          {"usage", end ? responses_usage(end->usage) : Json(nullptr)}};
}

std::unique_ptr<BlockEvents> responses_events(AnswerHead head, Json asked) {
  return std::make_unique<ResponsesEvents>(std::move(head), std::move(asked));
}

}  // namespace minke
