#include "base/threads.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
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

// Workers wait for a new region, join it while it is open, and take tasks from a shared counter.
// The caller waits only for workers that joined: one that sleeps, or that the system does not run,
// costs nothing. They spin for a short while before they sleep, because a forward pass has hundreds
// of regions.
class Pool {
 public:
  explicit Pool(int threads) {
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
    } catch (const std::system_error& error) {
      stop();
      fail("cannot start {} threads: {}; ask for fewer with --threads", threads, error.what());
    }
  }
  ~Pool() { stop(); }
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void run(int64_t tasks, const std::function<void(int64_t)>& body) {
    std::lock_guard caller(callers_);
    body_ = &body;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    open_region();
    take_tasks();
    region_.fetch_and(~open_bit, std::memory_order_acq_rel);
    for (int spins = 0; joined(region_.load(std::memory_order_acquire)) != 0; ++spins)
      wait_a_little(spins);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void stop() {
    stopping_ = true;
    open_region();
    for (auto& worker : workers_) worker.join();
  }

  static constexpr int spin_limit = 20000;
  // What region_ holds: its number, whether workers may join, and how many have.
  static constexpr uint64_t open_bit = 1 << 15, one_region = 1 << 16;
  static uint64_t number(uint64_t region) { return region / one_region; }
  static uint64_t joined(uint64_t region) { return region % open_bit; }

  static void wait_a_little(int spins) {
    if (spins < spin_limit)
      pause_cpu();
    else
      std::this_thread::yield();
  }

  // Sequentially consistent, as the worker's side is: either the worker sees the region before it
  // sleeps, or this sees the sleeper.
  void open_region() {
    region_.store((number(region_.load()) + 1) * one_region + open_bit);
    if (sleepers_.load() == 0) return;
    { std::lock_guard lock(mutex_); }
    wake_.notify_all();
  }

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

  // Waits for a region after the one with that number.
  uint64_t next_region(uint64_t seen) {
    for (int spins = 0; spins < spin_limit; ++spins) {
      const uint64_t region = region_.load(std::memory_order_acquire);
      if (number(region) != seen) return region;
      pause_cpu();
    }
    std::unique_lock lock(mutex_);
    ++sleepers_;
    wake_.wait(lock, [&] { return number(region_.load()) != seen; });
    --sleepers_;
    return region_.load(std::memory_order_acquire);
  }

  void work(int index) {
    current_index = index;
    for (uint64_t seen = 0;;) {
      uint64_t region = next_region(seen);
      if (stopping_) return;
      while (region & open_bit)
        if (region_.compare_exchange_weak(region, region + 1, std::memory_order_acq_rel)) {
          take_tasks();
          region_.fetch_sub(1, std::memory_order_release);
          break;
        }
      seen = number(region);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex callers_;  // one parallel_for at a time
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> region_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<int64_t> next_{0};
  int64_t tasks_ = 0;
  const std::function<void(int64_t)>* body_ = nullptr;
  std::exception_ptr error_;
  std::atomic<bool> stopping_{false};
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
