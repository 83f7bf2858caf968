#pragma once
// The paths of the interface.

#include "serve/service.h"

namespace minke {

// POST /chat/completions
void handle_chat(Service& service, Exchange& exchange);
// POST /completions
void handle_completion(Service& service, Exchange& exchange);
// POST /messages, Anthropic's
void handle_messages(Service& service, Exchange& exchange);
// POST /messages/count_tokens, Anthropic's
void handle_count_tokens(Service& service, Exchange& exchange);
// POST /responses
void handle_responses(Service& service, Exchange& exchange);
// POST /embeddings
void handle_embeddings(Service& service, Exchange& exchange);
// POST /tokenize, /detokenize
void handle_tokenize(Service& service, Exchange& exchange);
void handle_detokenize(Service& service, Exchange& exchange);

// A stream of server-sent events.
class EventStream {
 public:
  explicit EventStream(httplib::DataSink& sink) : sink_(sink) {}
  // Goes out with the next flush(). name "": an event without one.
  void add(std::string_view data, std::string_view name = "");
  void add_comment();
  // A ClientGone if nobody takes it.
  void flush();

 private:
  httplib::DataSink& sink_;
  std::string text_;
};
// The function runs after the handler has returned; what it leaves in the stream is flushed, and
// what it throws becomes a last event with the error.
void reply_with_stream(Exchange& exchange, std::function<void(EventStream&)> write,
                       std::function<void(EventStream&, const ApiError&)> on_error);

}  // namespace minke
