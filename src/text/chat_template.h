#pragma once
// Conversations as the token ids that a model was trained on: the chat templates of the families
// that Minke knows, as code. The layout's own text becomes special tokens; what users, tools and
// models wrote never does, so that nobody can forge a turn. docs/chat-templates.md has the layouts
// and where they come from.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace minke {

enum class ChatFamily {
  deepseek_v2,   // "User: ", "Assistant: "; V2 and V2-Lite
  deepseek_v3,   // V2.5, V3, V3-0324
  deepseek_r1,   // R1: always reasons, unless told not to
  deepseek_v31,  // V3.1: reasons when told to
  distill,       // R1's distillations on Qwen and Llama: R1's layout, their ids
  llama3,
  qwen2,   // ChatML with a system prompt of its own
  qwen3,   // reasons unless told not to
  chatml,  // anything else with <|im_start|>
};

struct ToolCall {
  std::string id, name;
  std::string arguments;  // JSON text, as the model wrote it
};

struct ChatMessage {
  std::string role;  // system, developer (the same), user, assistant or tool
  std::string content;
  std::string reasoning_content;  // of an assistant; templates leave out what they do not repeat
  std::vector<ToolCall> tool_calls;
  std::string tool_call_id, name;  // of a tool's result; no template shows them
};

struct ChatOptions {
  std::optional<bool> thinking;  // nothing: the family's default; an Error where it cannot
  std::string tools;             // JSON list as in OpenAI's API, or empty
  bool add_generation_prompt = true;
  bool continue_final = false;  // the last message is the beginning of the answer
  // The prompt opens <think> for a model that thinks and would open it itself (Qwen3), so that what
  // follows is known to be reasoning. The released template does not.
  bool open_reasoning = false;
};

// A rendered conversation.
struct ChatPrompt {
  std::vector<TextPart> parts;
  bool in_reasoning = false;  // the model goes on inside of <think>
};

// Immutable and thread-safe.
class ChatTemplate {
 public:
  explicit ChatTemplate(ChatFamily family, std::string system = default_system);

  // The family of a Jinja template's text (may be empty), or else of the special tokens that the
  // tokenizer has; an Error that lists the families when neither says.
  static ChatTemplate detect(std::string_view jinja, const Tokenizer& tokenizer);
  // "deepseek_r1"; another name is a usage Error that lists them.
  static ChatTemplate named(std::string_view name);

  ChatFamily family() const { return family_; }
  std::string_view name() const;
  bool can_think() const;
  bool thinks(const ChatOptions& options) const;

  // Wrong roles, tools or options are usage Errors.
  ChatPrompt prompt(std::span<const ChatMessage> messages, const ChatOptions& options) const;
  // BOS is in front where the family has it, once. A tokenizer without the family's tokens is an
  // Error that names the one missing.
  std::vector<int32_t> render(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                              const ChatOptions& options) const;
  // For tests and display.
  std::string render_text(std::span<const ChatMessage> messages, const ChatOptions& options) const;

  // The tokens that end an answer, those that this tokenizer has.
  std::vector<int32_t> stop_ids(const Tokenizer& tokenizer) const;

 private:
  static constexpr const char* default_system = "\x01";  // stands for the family's own

  ChatFamily family_;
  std::string system_;  // what stands in a system turn where the conversation has none
};

// The Jinja template beside a tokenizer: chat_template of tokenizer_config.json, or the file
// chat_template.jinja; "" when there is none.
std::string read_chat_template(const fs::path& folder);

}  // namespace minke
