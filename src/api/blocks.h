#pragma once
// Anthropic's Messages and OpenAI's Responses as chat requests: both are other spellings of the
// same thing. The formats are those of the PyPI packages `anthropic` and `openai` (their types/).

#include <memory>
#include <utility>

#include "api/error.h"
#include "api/json.h"
#include "api/response.h"

namespace minke {

// The body of a chat completion that asks for the same, for parse_chat_request(), and where its
// fields came from. Not thread-safe.
class ChatTranslation {
 public:
  const Json& body() const { return body_; }
  // An error about the body, with the field that was sent in place of the body's.
  ApiError as_sent(const ApiError& error) const;

  // Takes a field over under the name that chats have for it, if it is there.
  void copy(const Json& from, const char* name, const char* chat_name);
  void set(const char* name, Json value) { body_[name] = std::move(value); }
  // path, content_path: of what the message, and its content, are made of.
  void add_message(Json message, const std::string& path, const std::string& content_path);
  // The last message; null before the first one.
  Json* last_message();
  // parameters: the name that the sender has for a tool's schema.
  void add_tools(const Json& tools, const char* parameters);
  // The value at `chat_path` of the body is that at `sent_path` of what was sent. Where several
  // are above a field, the longest path counts.
  void add_origin(std::string chat_path, std::string sent_path);

 private:
  Json body_ = {{"messages", Json::array()}};
  std::vector<std::pair<std::string, std::string>> origins_;
};
// ApiErrors name the fields that have no counterpart.
ChatTranslation chat_of_messages(const Json& body);
ChatTranslation chat_of_responses(const Json& body);

// A stretch of an answer. Reasoning comes before text, calls after it.
struct AnswerBlock {
  enum class Kind { reasoning, text, call };
  Kind kind;
  std::string id;  // of the block, of Responses; of the call
  std::string name = {}, text = {};
  bool is_cut = false;  // the answer became too long in the middle of it

  bool operator==(const AnswerBlock&) const = default;
};

// How an answer ended.
struct AnswerEnd {
  std::string reason;       // stop, length, tool_calls
  std::string stop_string;  // that was found
  Usage usage;
};

Json messages_json(const AnswerHead& head, const std::vector<AnswerBlock>& blocks,
                   const AnswerEnd& end);
// asked: the request's body, parts of which the answer repeats. end: null while it is written.
Json responses_json(const AnswerHead& head, const Json& asked,
                    const std::vector<AnswerBlock>& blocks, const AnswerEnd* end);

// The events of a stream, in the order in which they are to be sent. Not thread-safe.
class BlockEvents {
 public:
  struct Event {
    std::string name, data;
  };
  virtual ~BlockEvents() = default;
  virtual std::vector<Event> begin(int64_t prompt_tokens) = 0;
  virtual std::vector<Event> open(size_t index, const AnswerBlock& block) = 0;
  virtual std::vector<Event> add(size_t index, const AnswerBlock& block,
                                 const std::string& text) = 0;
  virtual std::vector<Event> close(size_t index, const AnswerBlock& block) = 0;
  virtual std::vector<Event> end(const std::vector<AnswerBlock>& blocks, const AnswerEnd& end) = 0;
  // Instead of an end.
  virtual Event fail(const ApiError& error) = 0;
};

std::unique_ptr<BlockEvents> messages_events(AnswerHead head);
std::unique_ptr<BlockEvents> responses_events(AnswerHead head, Json asked);

}  // namespace minke
