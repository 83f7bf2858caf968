#pragma once
// One thread that learns at once who hangs up, so that no other has to ask again and again.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace minke {

// Thread-safe. Handles must not outlive it.
class HangUpWatch {
 public:
  HangUpWatch();
  ~HangUpWatch();
  HangUpWatch(const HangUpWatch&) = delete;

  // Calls on_hang_up once, on the watch's thread, when the socket's other end closes while the
  // handle lives. on_hang_up must be quick, and use no watch. The socket must outlive the handle.
  std::shared_ptr<void> watch(int socket, std::function<void()> on_hang_up);

 private:
  void work();

  int epoll_, end_;  // end_: readable once the thread has to end
  std::mutex mutex_;
  std::map<int, std::function<void()>> calls_;  // by socket
  std::thread thread_;
};

}  // namespace minke
