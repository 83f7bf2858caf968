#include "serve/connection_threads.h"

#include <thread>

namespace minke {
namespace {
thread_local bool overloaded = false;
}

bool is_overloaded() { return overloaded; }

void ConnectionThreads::enqueue(std::function<void()> job) {
  if (start(job)) return;
  overloaded = true;
  job();
  overloaded = false;
}

bool ConnectionThreads::start(const std::function<void()>& job) {
  const std::lock_guard lock(mutex_);
  if (running_ >= most_) return false;
  try {
    std::thread([this, job] {
      job();
      const std::lock_guard end(mutex_);
      --running_;
      ended_.notify_all();  // with the lock: after it this object may be gone
    }).detach();
  } catch (const std::system_error&) {
    return false;  // the system gives no more
  }
  ++running_;
  return true;
}

void ConnectionThreads::shutdown() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return running_ == 0; });
}

}  // namespace minke
