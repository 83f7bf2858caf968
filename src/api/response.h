#pragma once
// What a server answers to requests for text.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/json.h"
#include "text/chat_parser.h"
#include "text/chat_template.h"

namespace minke {

struct Usage {
  int64_t prompt_tokens = 0, completion_tokens = 0;
  int64_t cached_tokens = 0;     // of the prompt, found in the cache
  int64_t reasoning_tokens = 0;  // of the completion
};
// OpenAI's fields and DeepSeek's.
Json usage_json(const Usage& usage);
Usage parse_usage(const Json& json);

// A token with what it was worth. Text is the token's bytes, which may be no UTF-8.
struct ScoredToken {
  struct Candidate {
    std::string text;
    double log_probability;
  };
  std::string text;
  std::optional<double> log_probability;  // nothing for a prompt's first token
  std::vector<Candidate> top;
  bool in_text = true;  // false: a special token, which the answer's text leaves out
};
// {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}
Json chat_logprobs_json(const std::vector<ScoredToken>& tokens);
// Where tokens begin in an answer's text, in code points.
class TextOffset {
 public:
  // Of the token that comes next. Of one that goes on with a character: behind the last whole one.
  int64_t next(const ScoredToken& token);

 private:
  int64_t characters_ = 0;
  std::string pending_;  // begins a character that is not complete yet
};
// {"tokens", "token_logprobs", "top_logprobs", "text_offset"} of the answer's next tokens.
Json completion_logprobs_json(const std::vector<ScoredToken>& tokens, TextOffset& offset);

// What an answer's head says: the same in every piece of a stream.
struct AnswerHead {
  std::string id, model;
  int64_t created = 0;  // seconds since 1970
};

struct ChatChoice {
  int index = 0;
  ChatMessage message;
  std::optional<std::vector<ScoredToken>> logprobs;
  std::string finish_reason;  // stop, length, tool_calls
};

struct ChatCompletion {
  AnswerHead head;
  std::vector<ChatChoice> choices;
  Usage usage;
};
Json to_json(const ChatCompletion& completion);
// Log-probabilities are not read back. Missing fields are an ApiError of 400.
ChatCompletion parse_chat_completion(const Json& json);

struct CompletionChoice {
  int index = 0;
  std::string text;
  std::optional<Json> logprobs;
  std::string finish_reason;
};
Json completion_json(const AnswerHead& head, const std::vector<CompletionChoice>& choices,
                     const Usage& usage);

// The pieces of a stream, each the JSON of one event. Immutable.
class AnswerChunks {
 public:
  // The last piece.
  std::string usage(const Usage& usage) const;

 protected:
  // wants_usage: every piece has the field usage, null but in the last one.
  AnswerChunks(const AnswerHead& head, const char* object, bool wants_usage);

  std::string head_;  // up to the choices
  std::string tail_;  // after them
};

class ChatChunks : public AnswerChunks {
 public:
  ChatChunks(const AnswerHead& head, bool wants_usage)
      : AnswerChunks(head, "chat.completion.chunk", wants_usage) {}

  std::string role(int index) const;
  // call_id: of a tool call that begins.
  std::string delta(int index, const ChatDelta& delta, const std::string& call_id,
                    const Json* logprobs) const;
  std::string finish(int index, const std::string& reason, const Json* logprobs) const;

 private:
  std::string chunk(int index, std::string_view delta, const Json* logprobs,
                    const std::string& finish_reason) const;
};

class CompletionChunks : public AnswerChunks {
 public:
  CompletionChunks(const AnswerHead& head, bool wants_usage)
      : AnswerChunks(head, "text_completion", wants_usage) {}

  // finish_reason "": the answer goes on.
  std::string text(int index, std::string_view text, const Json* logprobs,
                   const std::string& finish_reason) const;
};

// {"object": "list", "data": [{"object": "embedding", "index", "embedding"}], "model", "usage"}.
// The embeddings are lists of numbers, or base64 of little-endian f32.
std::string embeddings_text(const std::string& model,
                            const std::vector<std::vector<float>>& embeddings, bool as_base64,
                            int64_t prompt_tokens);

// {"id", "object": "model", "created": 0, "owned_by"}
Json model_json(const std::string& name);
// {"object": "list", "data": [...]}
Json models_json(const std::vector<std::string>& names);

}  // namespace minke
