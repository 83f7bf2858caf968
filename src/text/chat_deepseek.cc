// DeepSeek's layouts. Sources: the chat templates in tokenizer_config.json of
// DeepSeek-V2-Lite-Chat, V3, R1, the distillations and V3.1, and V3.1's model card for tools.

#include "text/chat_layout.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

constexpr std::string_view think_end = special::think_end;

std::string system_text(const ChatRequest& request) {
  std::string text;
  bool is_first = true;
  for (const ChatMessage& message : request.messages) {
    if (message.role != "system") continue;
    if (!is_first) text += "\n\n";
    text += message.content;
    is_first = false;
  }
  return text;
}

class Writer {
 public:
  Writer(const ChatRequest& request, PromptWriter& out)
      : request_(request), out_(out), is_v31_(request.family == ChatFamily::deepseek_v31) {}

  void write() {
    out_.layout(special::bos).text(system_text(request_));
    if (!request_.tools.empty()) write_tools();
    for (size_t i = 0; i < request_.messages.size(); ++i) write_message(i);
    close_outputs();
    if (request_.wants_answer() && !after_tool_) write_generation_prompt();
  }

 private:
  bool reasons() const {
    return request_.family == ChatFamily::deepseek_r1 || request_.family == ChatFamily::distill;
  }

  // V3's and R1's own templates leave tools out; theirs are listed as V3.1's, with their own form
  // of a call.
  void write_tools() {
    out_.layout("\n\n## Tools\nYou have access to the following tools:\n");
    for (const auto& tool : request_.tools) {
      const auto& function = tool.at("function");
      out_.layout("\n### ").text(function.at("name").get<std::string>());
      out_.layout("\nDescription: ").text(function.value("description", ""));
      out_.layout("\n\nParameters: ")
          .text(python_json(function.value("parameters", nlohmann::ordered_json::object())));
      out_.layout("\n");
    }
    out_.layout("\nIMPORTANT: ALWAYS adhere to this exact format for tool use:\n");
    out_.layout(special::tool_calls_begin).layout(special::tool_call_begin);
    if (is_v31_)
      out_.layout("tool_call_name").layout(special::tool_separator).layout("tool_call_arguments");
    else
      out_.layout("function")
          .layout(special::tool_separator)
          .layout("tool_call_name\n```json\ntool_call_arguments\n```");
    out_.layout(special::tool_call_end).layout("{additional_tool_calls}");
    out_.layout(special::tool_calls_end);
    out_.layout(
        "\n\nWhere:\n- `tool_call_name` must be an exact match to one of the available tools\n"
        "- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters "
        "Schema\n"
        "- For multiple tool calls, chain them directly without separators or spaces");
  }

  void write_message(size_t i) {
    const ChatMessage& message = request_.messages[i];
    if (message.role == "user") {
      close_outputs();
      out_.layout(special::user).text(message.content);
      after_user_ = true;
      after_tool_ = false;
    } else if (message.role == "tool") {
      write_output(message);
    } else if (message.role == "assistant") {
      close_outputs();
      write_assistant(message, request_.is_open(i));
      after_user_ = after_tool_ = false;
    }
  }

  void write_output(const ChatMessage& message) {
    if (!is_v31_) outputs_open_ ? out_.layout("\n") : out_.layout(special::tool_outputs_begin);
    outputs_open_ = !is_v31_;
    out_.layout(special::tool_output_begin).text(message.content);
    out_.layout(special::tool_output_end);
    after_tool_ = true;
    after_user_ = false;
  }

  void close_outputs() {
    if (outputs_open_) out_.layout(special::tool_outputs_end);
    outputs_open_ = false;
  }

  void write_assistant(const ChatMessage& message, bool open) {
    const bool begins = is_v31_ ? after_user_ : !after_tool_;
    if (begins) out_.layout(special::assistant);
    if (open && begins && request_.thinking && (is_v31_ || reasons()))
      return write_open_reasoning(message);
    if (is_v31_ && begins) out_.layout(think_end);
    if (open && reasons() && begins) out_.layout("<think>\n\n</think>\n\n");
    out_.text(open ? message.content : past_reasoning(message.content));
    if (!message.tool_calls.empty()) write_calls(message.tool_calls);
    if (!open) out_.layout(special::eos);
  }

  // The beginning of an answer that thinks: reasoning alone stays open.
  void write_open_reasoning(const ChatMessage& message) {
    out_.layout(is_v31_ ? "<think>" : "<think>\n").text(message.reasoning_content);
    if (message.content.empty()) return out_.open_reasoning();
    out_.layout(is_v31_ ? "</think>" : "\n</think>\n\n").text(message.content);
  }

  // History does not repeat what the model thought.
  std::string_view past_reasoning(std::string_view content) const {
    if (!is_v31_ && !reasons()) return content;
    const size_t at = is_v31_ ? content.find(think_end) : content.rfind(think_end);
    return at == std::string_view::npos ? content : content.substr(at + think_end.size());
  }

  void write_calls(const std::vector<ToolCall>& calls) {
    out_.layout(special::tool_calls_begin);
    for (size_t i = 0; i < calls.size(); ++i) {
      if (i > 0 && !is_v31_) out_.layout("\n");
      out_.layout(special::tool_call_begin);
      if (is_v31_)
        out_.text(calls[i].name).layout(special::tool_separator).text(calls[i].arguments);
      else
        out_.layout("function")
            .layout(special::tool_separator)
            .text(calls[i].name)
            .layout("\n```json\n")
            .text(calls[i].arguments)
            .layout("\n```");
      out_.layout(special::tool_call_end);
    }
    out_.layout(special::tool_calls_end);
  }

  void write_generation_prompt() {
    out_.layout(special::assistant);
    if (is_v31_) out_.layout(request_.thinking ? "<think>" : "</think>");
    if (reasons()) out_.layout(request_.thinking ? "<think>\n" : "<think>\n\n</think>\n\n");
    if (request_.thinking) out_.open_reasoning();
  }

  const ChatRequest& request_;
  PromptWriter& out_;
  bool is_v31_;
  bool after_user_ = false, after_tool_ = false;
  bool outputs_open_ = false;  // tool_outputs_begin is waiting for its end
};

}  // namespace

void write_deepseek(const ChatRequest& request, PromptWriter& out) { Writer(request, out).write(); }

void write_deepseek_v2(const ChatRequest& request, PromptWriter& out) {
  out.layout(special::bos);
  for (size_t i = 0; i < request.messages.size(); ++i) {
    const ChatMessage& message = request.messages[i];
    if (message.role == "user") {
      out.layout("User: ").text(message.content).layout("\n\n");
    } else if (message.role == "assistant") {
      out.layout("Assistant: ").text(message.content);
      if (!request.is_open(i)) out.layout(special::eos);
    } else {
      out.text(message.content).layout("\n\n");
    }
  }
  if (request.wants_answer()) out.layout("Assistant:");
}

}  // namespace minke
