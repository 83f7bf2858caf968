#pragma once
// Anthropic's Messages and OpenAI's Responses as chat requests: both are other spellings of the
// same thing. The formats are those of the PyPI packages `anthropic` and `openai` (their types/).

#include <memory>

#include "api/error.h"
#include "api/json.h"
#include "api/response.h"

namespace minke {

// The body of a chat completion that asks for the same; for parse_chat_request(). ApiErrors name
// the fields that have no counterpart.
Json chat_body_of_messages(const Json& body);
Json chat_body_of_responses(const Json& body);

// A stretch of an answer. Reasoning comes before text, calls after it.
struct AnswerBlock {
  enum class Kind { reasoning, text, call };
  Kind kind;
  std::string id;  // of the block, of Responses; of the call
  std::string name = {}, text = {};

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
  virtual std::vector<Event> begin() = 0;
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
