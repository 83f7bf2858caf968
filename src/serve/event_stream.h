#pragma once
// Answers that grow while the client reads them.

#include <functional>
#include <string>
#include <string_view>

#include "serve/http_server.h"

namespace minke {

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
