#pragma once
// What the families' layouts share: the request, and a writer that keeps the layout's own text and
// the conversation's apart.

#include <nlohmann/json.hpp>

#include "text/chat_template.h"

namespace minke {

struct ChatRequest {
  ChatFamily family;
  const std::string& system;  // in place of a missing system message; of llama3: before every one
  std::span<const ChatMessage> messages;
  const ChatOptions& options;
  nlohmann::ordered_json tools;  // a list; empty: none
  bool thinking;

  // Message i is the beginning of an answer that the model is to go on with.
  bool is_open(size_t i) const { return options.continue_final && i + 1 == messages.size(); }
  bool wants_answer() const { return options.add_generation_prompt && !options.continue_final; }
};

class PromptWriter {
 public:
  explicit PromptWriter(ChatPrompt& prompt) : prompt_(prompt) {}
  // Minke's text, in which special tokens count.
  PromptWriter& layout(std::string_view text) { return add(text, true); }
  // Somebody else's.
  PromptWriter& text(std::string_view text) { return add(text, false); }
  void open_reasoning() { prompt_.in_reasoning = true; }

 private:
  PromptWriter& add(std::string_view text, bool parse_special) {
    if (!text.empty()) prompt_.parts.push_back({std::string(text), parse_special});
    return *this;
  }
  ChatPrompt& prompt_;
};

// JSON with spaces as Python's json.dumps writes it, which templates use.
std::string python_json(const nlohmann::ordered_json& value);
// A call's arguments in that form; text that is no JSON stays as it is.
std::string python_arguments(const ToolCall& call);
// Without the white space around it.
std::string_view trimmed(std::string_view text);

void write_deepseek_v2(const ChatRequest& request, PromptWriter& out);
void write_deepseek(const ChatRequest& request, PromptWriter& out);
void write_llama3(const ChatRequest& request, PromptWriter& out);
void write_chatml(const ChatRequest& request, PromptWriter& out);

}  // namespace minke
