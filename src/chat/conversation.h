#pragma once
// chat/: the conversation in a terminal. It owns the turns, the commands and the reading of lines,
// and may include infer/, model/, text/, plan/, tensor/, config/ and base/. Nothing but
// line_reader.cc knows a terminal.
//
// This header: turns and answers.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "text/chat_parser.h"
#include "text/chat_template.h"

namespace minke {

struct ConversationSettings {
  SamplingOptions sampling;
  int64_t max_tokens = 0;        // of an answer; 0: what the context leaves
  std::optional<bool> thinking;  // nothing: as the model's template does
};

// What one answer cost.
struct AnswerStats {
  int64_t prompt_tokens = 0, cached_tokens = 0, tokens = 0;
  double prompt_seconds = 0, seconds = 0;  // until the first token, and from there on
  FinishReason finish = FinishReason::none;
};

// The turns of one conversation with a model. Not thread-safe; the engine and the tokenizer must
// outlive it. Each answer is one request to the engine, which remembers the pages of earlier turns.
class Conversation {
 public:
  // Without a template the turns are one plain text that the model continues.
  Conversation(Engine& engine, const Tokenizer& tokenizer,
               std::optional<ChatTemplate> chat_template);

  ConversationSettings& settings() { return settings_; }
  bool can_think() const { return template_ && template_->can_think(); }
  const std::vector<ChatMessage>& messages() const { return messages_; }

  // Replaces the system prompt; "" for none.
  void set_system(const std::string& text);
  // Forgets the turns, not the system prompt.
  void reset();

  // Adds the user's turn and the model's, which is handed out as it comes; is_stopped() true ends
  // it, and what came so far stays. After an Error the conversation is as before.
  AnswerStats ask(const std::string& text, const std::function<void(const ChatDelta&)>& on_delta,
                  const std::function<bool()>& is_stopped);
  // Another answer, with another seed, in place of the last one; without one, a usage Error.
  AnswerStats regenerate(const std::function<void(const ChatDelta&)>& on_delta,
                         const std::function<bool()>& is_stopped);

  // {"messages": [{"role": ..., "content": ..., "reasoning_content": ...}, ...]}
  std::string to_json() const;
  void load_json(std::string_view text, std::string_view where);

 private:
  AnswerStats answer(const std::function<void(const ChatDelta&)>& on_delta,
                     const std::function<bool()>& is_stopped);
  Request request(bool& in_reasoning) const;

  Engine& engine_;
  const Tokenizer& tokenizer_;
  std::optional<ChatTemplate> template_;
  ConversationSettings settings_;
  std::vector<ChatMessage> messages_;
};

}  // namespace minke
