#pragma once
// Lines of a person to a conversation, and what it says back: commands begin with '/', all else is
// a turn.

#include <functional>
#include <string>

#include "chat/conversation.h"

namespace minke {

// Where a session writes. Answers are data, notices are not.
struct SessionOutput {
  std::function<void(std::string_view text)> answer;
  std::function<void(std::string_view line)> notice;
  bool colours = false;  // reasoning is dimmed
};

// Not thread-safe. The conversation must outlive it.
class ChatSession {
 public:
  ChatSession(Conversation& conversation, SessionOutput output, bool shows_reasoning,
              std::function<bool()> is_stopped);

  // Does what a line says; false when it says to leave. Errors become notices.
  bool handle(const std::string& line);
  // Tokens, rates and memory so far.
  std::string stats() const;
  // Whether a line was refused; a pipe's exit code.
  bool failed() const { return failed_; }

 private:
  bool command(const std::string& line);
  void set(const std::string& name, const std::string& value);
  void list_settings();
  void answer(const std::function<AnswerStats(const std::function<void(const ChatDelta&)>&)>& ask);
  void show(const ChatDelta& delta);
  void end_reasoning();

  Conversation& conversation_;
  SessionOutput output_;
  bool shows_reasoning_;
  std::function<bool()> is_stopped_;
  bool in_reasoning_ = false, failed_ = false;
  char last_ = '\n';  // that was written of this answer
  AnswerStats total_;
};

}  // namespace minke
