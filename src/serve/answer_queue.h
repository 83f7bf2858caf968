#pragma once
// Events from the engine's thread to the thread of one HTTP request.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "infer/engine.h"

namespace minke {

struct AnswerEvent {
  int index;  // of the answer, where a request asks for several
  TokenEvent event;
};

// Thread-safe.
class AnswerQueue {
 public:
  // An event too many is lost, see has_overflown().
  void push(int index, const TokenEvent& event) {
    constexpr size_t most = 8192;
    const std::lock_guard lock(mutex_);
    const bool is_last = event.finish != FinishReason::none;
    has_overflown_ |= events_.size() >= most;
    if (events_.size() < most || is_last) events_.push_back({index, event});
    changed_.notify_one();
  }

  // The reader was so far behind that events are missing.
  bool has_overflown() const {
    const std::lock_guard lock(mutex_);
    return has_overflown_;
  }

  // The next event, or nothing after so many seconds.
  std::optional<AnswerEvent> pop(double seconds) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                      [this] { return !events_.empty(); });
    if (events_.empty()) return std::nullopt;
    AnswerEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<AnswerEvent> events_;
  bool has_overflown_ = false;
};

}  // namespace minke
