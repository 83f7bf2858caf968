#pragma once
// Events from the engine's thread to the thread of one HTTP request.

#include <condition_variable>
#include <map>
#include <mutex>

#include "infer/engine.h"

namespace minke {

// Thread-safe. To wake a thread and to send to a socket costs more than a small model takes for a
// token: tokens that come fast are taken together.
class AnswerQueue {
 public:
  // index: of the answer, where a request asks for several. What it gets joins what nobody has
  // taken yet. An event too many is lost, see has_overflown().
  void push(int index, const TokenEvent& event);

  // The reader was so far behind that events are missing.
  bool has_overflown() const;

  // What came since the last call, by answer: after `pause` seconds, at once when an answer has
  // ended; nothing if so many seconds bring nothing.
  std::map<int, TokenEvent> take(double pause, double seconds);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, TokenEvent> events_;
  int64_t pushed_ = 0;  // since the last take()
  bool has_end_ = false, wants_any_ = false, has_overflown_ = false;
};

}  // namespace minke
