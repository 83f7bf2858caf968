// Llama 3's layout. Source: the chat templates of Meta-Llama-3 and Llama-3.1 Instruct; tools as
// 3.1's default has them, in the first user turn.

#include "base/error.h"
#include "text/chat_layout.h"

namespace minke {
namespace {

void begin_turn(PromptWriter& out, std::string_view role) {
  out.layout("<|start_header_id|>").layout(role).layout("<|end_header_id|>\n\n");
}

void write_tools(const ChatRequest& request, PromptWriter& out) {
  out.layout(
      "Given the following functions, please respond with a JSON for a function call with its "
      "proper arguments that best answers the given prompt.\n\nRespond in the format {\"name\": "
      "function name, \"parameters\": dictionary of argument name and its value}.Do not use "
      "variables.\n\n");
  for (const auto& tool : request.tools) out.text(tool.dump(4)).layout("\n\n");
}

void write_call(const ChatMessage& message, PromptWriter& out) {
  if (message.tool_calls.size() > 1)
    fail_usage("a message has {} tool calls; Llama 3's template has one at a time",
               message.tool_calls.size());
  const ToolCall& call = message.tool_calls[0];
  out.layout("{\"name\": \"").text(call.name).layout("\", \"parameters\": ");
  out.text(python_arguments(call)).layout("}");
}

}  // namespace

void write_llama3(const ChatRequest& request, PromptWriter& out) {
  const auto& messages = request.messages;
  const bool has_system = !messages.empty() && messages[0].role == "system";
  bool tools_pending = !request.tools.empty();
  out.layout("<|begin_of_text|>");
  if (has_system || !request.system.empty()) {
    begin_turn(out, "system");
    if (tools_pending && !request.system.empty()) out.layout("Environment: ipython\n");
    out.layout(request.system);
    if (has_system) out.text(trimmed(messages[0].content));
    out.layout("<|eot_id|>");
  }
  for (size_t i = has_system ? 1 : 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    begin_turn(out, message.role == "tool" ? "ipython" : message.role);
    if (message.role == "user" && tools_pending) write_tools(request, out);
    if (message.role == "user") tools_pending = false;
    if (message.tool_calls.empty())
      out.text(trimmed(message.content));
    else
      write_call(message, out);
    if (!request.is_open(i)) out.layout("<|eot_id|>");
  }
  if (tools_pending) fail_usage("tools are listed in the first user message, and there is none");
  if (request.wants_answer()) begin_turn(out, "assistant");
}

}  // namespace minke
