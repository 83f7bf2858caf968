#include "serve/answer_queue.h"

#include <chrono>
#include <utility>

#include "base/machine.h"

namespace minke {
namespace {

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

void append(TokenEvent& to, const TokenEvent& more) {
  append(to.tokens, more.tokens);
  to.text += more.text;
  append(to.log_probabilities, more.log_probabilities);
  append(to.prompt_log_probabilities, more.prompt_log_probabilities);
  to.embedding = more.embedding;
  to.cached_tokens = more.cached_tokens;
  to.finish = more.finish;
  to.error = more.error;
  to.stop_string = more.stop_string;
}

}  // namespace

void AnswerQueue::push(int index, const TokenEvent& event) {
  constexpr int64_t most = int64_t{1} << 16;
  const bool is_last = event.finish != FinishReason::none;
  const double now = now_seconds();
  std::unique_lock lock(mutex_);
  has_overflown_ |= ++pushed_ > most;
  if (has_overflown_ && !is_last) return;
  AnswerPiece& piece = pieces_[index];
  if (!event.tokens.empty()) {
    if (piece.event.tokens.empty()) piece.first = now;
    piece.last = now;
  }
  append(piece.event, event);
  if (wakes_ || (!is_last && now < next_)) return;
  wakes_ = true;
  lock.unlock();  // the reader shall not wake only to wait for the lock
  changed_.notify_one();
}

void AnswerQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  changed_.notify_one();
}

bool AnswerQueue::is_closed() const {
  const std::lock_guard lock(mutex_);
  return is_closed_;
}

bool AnswerQueue::has_overflown() const {
  const std::lock_guard lock(mutex_);
  return has_overflown_;
}

std::map<int, AnswerPiece> AnswerQueue::take(double seconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                    [this] { return wakes_ || is_closed_; });
  if (!pieces_.empty()) next_ = now_seconds() + pause_;
  pushed_ = 0;
  wakes_ = false;
  return std::exchange(pieces_, {});
}

}  // namespace minke
