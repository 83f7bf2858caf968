#pragma once
// A chat request as requests to the engine, and what the engine writes as a message.

#include "api/request.h"
#include "api/response.h"
#include "infer/engine.h"
#include "serve/served_model.h"

namespace minke {

// Ready for the engine but for the seed of each answer.
struct PreparedChat {
  Request request;
  ChatFamily family = ChatFamily::chatml;
  bool in_reasoning = false, has_tools = false, has_template = false;
  bool one_call = false;  // no second tool call
};
// thinking: what the model's name says; the request's own word counts more. Wrong ones are
// ApiErrors.
PreparedChat prepare_chat(const ChatRequestBody& body, ServedModel& model,
                          std::optional<bool> thinking);
// For a further answer to the same prompt.
Request another_answer(const PreparedChat& chat, const ChatRequestBody& body, ServedModel& model,
                       int index);

// Takes one answer's events. Not thread-safe.
class ChatAnswer {
 public:
  ChatAnswer(const PreparedChat& chat, const Tokenizer& tokenizer);

  struct Piece {
    ChatDelta delta;
    std::string call_id;  // of a call that begins
  };
  std::vector<Piece> take(const TokenEvent& event);

  const ChatMessage& message() const { return message_; }
  // Tokens with log-probabilities that came since the last call.
  std::vector<ScoredToken> take_scores() { return std::exchange(scores_, {}); }
  bool has_ended() const { return finish_ != FinishReason::none; }
  std::string finish_reason() const;
  std::string stop_string() const { return stop_string_; }
  int64_t tokens() const { return tokens_; }
  int64_t reasoning_tokens() const { return reasoning_tokens_; }
  int64_t cached_tokens() const { return cached_tokens_; }

 private:
  void count(const TokenEvent& event);
  void keep(const Piece& piece);

  const Tokenizer& tokenizer_;
  const bool has_template_, one_call_;
  bool at_begin_;  // where a tag opens the reasoning; later it is text, as for the parser
  bool in_reasoning_;
  std::optional<int32_t> think_begin_, think_end_;
  ChatParser parser_;
  ChatMessage message_;
  std::vector<ScoredToken> scores_;
  FinishReason finish_ = FinishReason::none;
  std::string stop_string_;
  int64_t tokens_ = 0, reasoning_tokens_ = 0, cached_tokens_ = 0;
};

}  // namespace minke
