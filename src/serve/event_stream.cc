#include "serve/event_stream.h"

#include "base/error.h"
#include "base/log.h"

namespace minke {

void EventStream::add(std::string_view data, std::string_view name) {
  if (!name.empty()) text_.append("event: ").append(name).append("\n");
  text_.append("data: ").append(data).append("\n\n");
}

void EventStream::add_comment() { text_ += ": keep-alive\n\n"; }

void EventStream::flush() {
  if (!text_.empty() && !sink_.write(text_.data(), text_.size())) throw ClientGone{};
  text_.clear();
}

void reply_with_stream(Exchange& exchange, std::function<void(EventStream&)> write,
                       std::function<void(EventStream&, const ApiError&)> on_error) {
  exchange.response.status = 200;
  exchange.response.set_header("Cache-Control", "no-cache");
  exchange.response.set_header("X-Accel-Buffering", "no");
  const auto provide = [write = std::move(write), on_error = std::move(on_error)](
                           size_t, httplib::DataSink& sink) {
    EventStream stream(sink);
    try {
      try {
        write(stream);
      } catch (const ApiError& error) {
        on_error(stream, error);
      } catch (const std::exception& e) {
        error("a stream ended: {}", e.what());
        on_error(stream, ApiError(500, e.what()));
      }
      stream.flush();
    } catch (const ClientGone&) {
      return false;
    }
    sink.done();
    return true;
  };
  exchange.response.set_chunked_content_provider("text/event-stream", provide);
}

}  // namespace minke
