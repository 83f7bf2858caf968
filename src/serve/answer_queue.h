#pragma once
// Events from the engine's thread to the thread of one HTTP request.

#include <condition_variable>
#include <map>
#include <mutex>

#include "infer/engine.h"

namespace minke {

// What came of one answer.
struct AnswerPiece {
  TokenEvent event;
  double first = 0, last = 0;  // now_seconds() when its first and last token came; 0: none did
};

// Thread-safe. To wake a thread and to send to a socket costs more than a small model takes for a
// token: what comes within a pause after the last time waits, and is taken together with what comes
// next.
class AnswerQueue {
 public:
  explicit AnswerQueue(double pause) : pause_(pause) {}

  // index: of the answer, where a request asks for several. What it gets joins what nobody has
  // taken yet. An event too many is lost, see has_overflown().
  void push(int index, const TokenEvent& event);
  // Nobody wants the answers any more: take() does not wait.
  void close();

  bool is_closed() const;
  // The reader was so far behind that events are missing.
  bool has_overflown() const;

  // What came since the last call, by answer: the first token and an end at once, other tokens
  // after the pause; after so many seconds whatever there is.
  std::map<int, AnswerPiece> take(double seconds);

 private:
  const double pause_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, AnswerPiece> pieces_;
  double next_ = 0;     // until then only an end wakes the reader
  int64_t pushed_ = 0;  // since the last take()
  bool wakes_ = false, is_closed_ = false, has_overflown_ = false;
};

}  // namespace minke
