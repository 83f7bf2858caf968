#include "base/threads.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/machine.h"

namespace minke {
namespace {

thread_local int current_index = 0;
thread_local bool inside_task = false;

// Tells the core that this is a waiting loop.
void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Workers wait for a generation number to change, then take tasks from a shared counter. They spin
// for a short while before they sleep, because a training step calls parallel_for thousands of
// times.
class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  }
  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void run(int64_t tasks, const std::function<void(int64_t)>& body) {
    std::lock_guard caller(callers_);
    body_ = &body;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    {
      std::lock_guard lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    take_tasks();
    for (int spins = 0; running_.load(std::memory_order_acquire) != 0; ++spins)
      if (spins > spin_limit) std::this_thread::yield();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  static constexpr int spin_limit = 20000;

  void take_tasks() {
    inside_task = true;
    for (;;) {
      const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks_) break;
      try {
        (*body_)(task);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
        next_.store(tasks_, std::memory_order_relaxed);
      }
    }
    inside_task = false;
  }

  void work(int index) {
    current_index = index;
    uint64_t seen = 0;
    for (;;) {
      for (int spins = 0; spins < spin_limit && generation_.load(std::memory_order_acquire) == seen;
           ++spins)
        pause_cpu();
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
        seen = generation_.load(std::memory_order_relaxed);
        if (stopping_) return;
      }
      take_tasks();
      running_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex callers_;  // one parallel_for at a time
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<int> running_{0};
  int64_t tasks_ = 0;
  const std::function<void(int64_t)>* body_ = nullptr;
  std::exception_ptr error_;
  bool stopping_ = false;
};

std::unique_ptr<Pool>& pool() {
  static auto instance = std::make_unique<Pool>(machine().cores);
  return instance;
}

}  // namespace

int thread_count() { return pool()->size(); }

void set_thread_count(int count) {
  if (count < 1) fail_usage("--threads {}: at least 1 is needed", count);
  if (count != thread_count()) pool() = std::make_unique<Pool>(count);
}

int thread_index() { return current_index; }

void parallel_for(int64_t tasks, const std::function<void(int64_t)>& body) {
  if (tasks <= 0) return;
  if (tasks == 1 || inside_task || thread_count() == 1) {
    for (int64_t task = 0; task < tasks; ++task) body(task);
    return;
  }
  pool()->run(tasks, body);
}

void parallel_ranges(int64_t count, int64_t grain,
                     const std::function<void(int64_t, int64_t)>& body) {
  const int64_t tasks = (count + grain - 1) / grain;
  parallel_for(tasks,
               [&](int64_t task) { body(task * grain, std::min(count, (task + 1) * grain)); });
}

}  // namespace minke
