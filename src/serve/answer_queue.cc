#include "serve/answer_queue.h"

#include <chrono>
#include <utility>

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
  constexpr int64_t most = 8192;
  const std::lock_guard lock(mutex_);
  const bool is_last = event.finish != FinishReason::none;
  has_overflown_ |= ++pushed_ > most;
  if (has_overflown_ && !is_last) return;
  const auto [entry, is_new] = events_.try_emplace(index, event);
  if (!is_new) append(entry->second, event);
  has_end_ |= is_last;
  if (is_last || wants_any_) changed_.notify_one();
}

bool AnswerQueue::has_overflown() const {
  const std::lock_guard lock(mutex_);
  return has_overflown_;
}

std::map<int, TokenEvent> AnswerQueue::take(double pause, double seconds) {
  using Seconds = std::chrono::duration<double>;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, Seconds(pause), [this] { return has_end_; });
  wants_any_ = true;
  changed_.wait_for(lock, Seconds(seconds), [this] { return !events_.empty(); });
  wants_any_ = false;
  pushed_ = 0;
  has_end_ = false;
  return std::exchange(events_, {});
}

}  // namespace minke
