// ChatML and Qwen's layouts. Sources: the chat templates of Qwen2.5-Instruct and Qwen3.

#include "text/chat_layout.h"

namespace minke {
namespace {

std::string_view strip_newlines(std::string_view text, bool front, bool back) {
  while (front && text.starts_with('\n')) text.remove_prefix(1);
  while (back && text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

// An assistant's turn as Qwen3's template takes it apart.
struct Answer {
  std::string_view reasoning, content;
};

Answer take_apart(const ChatMessage& message) {
  constexpr std::string_view begin = "<think>", end = "</think>";
  Answer answer{message.reasoning_content, message.content};
  const size_t at = answer.content.rfind(end);
  if (!answer.reasoning.empty() || at == std::string_view::npos) return answer;
  answer.reasoning = answer.content.substr(0, answer.content.find(end));
  if (const size_t open = answer.reasoning.rfind(begin); open != std::string_view::npos)
    answer.reasoning.remove_prefix(open + begin.size());
  answer.reasoning = strip_newlines(answer.reasoning, true, true);
  answer.content = strip_newlines(answer.content.substr(at + end.size()), true, false);
  return answer;
}

class Writer {
 public:
  Writer(const ChatRequest& request, PromptWriter& out)
      : request_(request),
        out_(out),
        is_qwen3_(request.family == ChatFamily::qwen3),
        messages_(request.messages),
        last_query_(find_last_query()) {}

  void write() {
    const bool has_system = !messages_.empty() && messages_[0].role == "system";
    write_system(has_system);
    for (size_t i = has_system ? 1 : 0; i < messages_.size(); ++i) write_message(i);
    if (!request_.wants_answer()) return;
    out_.layout("<|im_start|>assistant\n");
    if (is_qwen3_ && !request_.thinking) out_.layout("<think>\n\n</think>\n\n");
    if (!is_qwen3_ || !request_.thinking || !request_.options.open_reasoning) return;
    out_.layout("<think>\n").open_reasoning();
  }

 private:
  // The last turn in which the user asks; what the model thought before it is not repeated.
  size_t find_last_query() const {
    for (size_t i = messages_.size(); i-- > 0;)
      if (messages_[i].role == "user" && !(messages_[i].content.starts_with("<tool_response>") &&
                                           messages_[i].content.ends_with("</tool_response>")))
        return i;
    return messages_.empty() ? 0 : messages_.size() - 1;
  }

  void write_system(bool has_system) {
    if (request_.tools.empty() && !has_system && request_.system.empty()) return;
    out_.layout("<|im_start|>system\n");
    if (has_system)
      out_.text(messages_[0].content);
    else
      out_.layout(request_.system);
    if (!request_.tools.empty()) write_tools(has_system || !request_.system.empty());
    out_.layout("<|im_end|>\n");
  }

  void write_tools(bool after_text) {
    if (after_text) out_.layout("\n\n");
    out_.layout(
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
        "provided with function signatures within <tools></tools> XML tags:\n<tools>");
    for (const auto& tool : request_.tools) out_.layout("\n").text(python_json(tool));
    out_.layout(
        "\n</tools>\n\nFor each function call, return a json object with function name and "
        "arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": "
        "<function-name>, \"arguments\": <args-json-object>}\n</tool_call>");
  }

  void write_message(size_t i) {
    const ChatMessage& message = messages_[i];
    if (message.role == "tool") return write_result(i);
    if (message.role == "assistant") return write_assistant(i);
    out_.layout("<|im_start|>").layout(message.role).layout("\n").text(message.content);
    out_.layout("<|im_end|>\n");
  }

  // Results that follow each other share a user's turn.
  void write_result(size_t i) {
    if (i == 0 || messages_[i - 1].role != "tool") out_.layout("<|im_start|>user");
    out_.layout("\n<tool_response>\n").text(messages_[i].content).layout("\n</tool_response>");
    if (i + 1 == messages_.size() || messages_[i + 1].role != "tool") out_.layout("<|im_end|>\n");
  }

  void write_assistant(size_t i) {
    const ChatMessage& message = messages_[i];
    Answer answer{{}, message.content};
    out_.layout("<|im_start|>assistant");
    if (is_qwen3_) {
      answer = take_apart(message);
      out_.layout("\n");
      if (i > last_query_ && (i + 1 == messages_.size() || !answer.reasoning.empty())) {
        if (!write_reasoning(i, answer)) return;
        answer.content = strip_newlines(answer.content, true, false);
      }
      out_.text(answer.content);
    } else if (!answer.content.empty() || message.tool_calls.empty()) {
      out_.layout("\n").text(answer.content);
    }
    for (size_t c = 0; c < message.tool_calls.size(); ++c) {
      if (!is_qwen3_ || c > 0 || !answer.content.empty()) out_.layout("\n");
      write_call(message.tool_calls[c]);
    }
    if (!request_.is_open(i)) out_.layout("<|im_end|>\n");
  }

  // False when the reasoning stays open for the model to go on with.
  bool write_reasoning(size_t i, const Answer& answer) {
    out_.layout("<think>\n").text(strip_newlines(answer.reasoning, true, true));
    if (request_.is_open(i) && request_.thinking && answer.content.empty()) {
      out_.open_reasoning();
      return false;
    }
    out_.layout("\n</think>\n\n");
    return true;
  }

  void write_call(const ToolCall& call) {
    out_.layout("<tool_call>\n{\"name\": \"").text(call.name).layout("\", \"arguments\": ");
    out_.text(python_arguments(call)).layout("}\n</tool_call>");
  }

  const ChatRequest& request_;
  PromptWriter& out_;
  bool is_qwen3_;
  std::span<const ChatMessage> messages_;
  size_t last_query_;
};

}  // namespace

void write_chatml(const ChatRequest& request, PromptWriter& out) { Writer(request, out).write(); }

}  // namespace minke
