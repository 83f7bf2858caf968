#pragma once
// Threads for connections: one for each, up to a limit.

#include <httplib.h>

#include <condition_variable>
#include <mutex>

namespace minke {

// Whether the connection that this thread is handed is one too many, to be turned away. The library
// passes a job nothing but its socket, so that enqueue() has no other way to say it.
bool is_overloaded();

// A thread ends with its connection: what the C library's allocator keeps for a thread (caches that
// fill for minutes) goes with it, and after a rush nothing of it stays.
class ConnectionThreads : public httplib::TaskQueue {
 public:
  // on_end: called when no more jobs will come.
  ConnectionThreads(size_t most, std::function<void()> on_end)
      : most_(most), on_end_(std::move(on_end)) {}

  // Runs the job on a thread of its own, or, where there are too many, at once on this one, with
  // is_overloaded(). What a job throws is logged.
  void enqueue(std::function<void()> job) override;
  // The end of enqueue(): calls on_end and waits for all jobs.
  void shutdown() override;

 private:
  bool start(const std::function<void()>& job);

  const size_t most_;
  const std::function<void()> on_end_;
  std::mutex mutex_;
  std::condition_variable ended_;
  size_t running_ = 0;
};

}  // namespace minke
