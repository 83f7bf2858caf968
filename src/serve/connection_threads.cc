#include "serve/connection_threads.h"

#include <thread>

#include "base/log.h"

namespace minke {
namespace {

thread_local bool overloaded = false;

// What escapes a thread would end the process.
void run(const std::function<void()>& job) {
  try {
    job();
  } catch (const std::exception& e) {
    error("a connection ended: {}", e.what());
  } catch (...) {
    error("a connection ended by an unknown exception");
  }
}

}  // namespace

bool is_overloaded() { return overloaded; }

void ConnectionThreads::enqueue(std::function<void()> job) {
  if (start(job)) return;
  overloaded = true;
  run(job);
  overloaded = false;
}

bool ConnectionThreads::start(const std::function<void()>& job) {
  const std::lock_guard lock(mutex_);
  if (running_ >= most_) return false;
  try {
    std::thread([this, job] {
      run(job);
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
  on_end_();
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return running_ == 0; });
}

}  // namespace minke
