#pragma once
// Threads for connections: as many as are needed, up to a limit.

#include <httplib.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace minke {

// Whether the connection that this thread is handed is one too many, to be turned away.
bool is_overloaded();

class ConnectionThreads : public httplib::TaskQueue {
 public:
  explicit ConnectionThreads(size_t most) : most_(most) {}

  // Runs the job on a thread of its own, or, where all are busy, at once on this one, with
  // is_overloaded().
  void enqueue(std::function<void()> job) override;
  // Waits for all jobs.
  void shutdown() override;

 private:
  bool add_thread();
  void work();

  const size_t most_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool is_stopping_ = false;
};

}  // namespace minke
