#include "serve/hang_up_watch.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"

namespace minke {

HangUpWatch::HangUpWatch()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), end_(::eventfd(0, EFD_CLOEXEC)) {
  epoll_event event = {EPOLLIN, {.fd = end_}};
  if (epoll_ < 0 || end_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, end_, &event) != 0)
    fail("the system gives no more file descriptors; raise the limit (ulimit -n)");
  thread_ = std::thread([this] { work(); });
}

HangUpWatch::~HangUpWatch() {
  ::eventfd_write(end_, 1);
  thread_.join();
  ::close(end_);
  ::close(epoll_);
}

std::shared_ptr<void> HangUpWatch::watch(int socket, std::function<void()> on_hang_up) {
  epoll_event event = {EPOLLRDHUP | EPOLLONESHOT, {.fd = socket}};
  const std::lock_guard lock(mutex_);
  calls_[socket] = std::move(on_hang_up);
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event);
  return {nullptr, [this, socket](void*) {
            const std::lock_guard lock(mutex_);
            ::epoll_ctl(epoll_, EPOLL_CTL_DEL, socket, nullptr);
            calls_.erase(socket);
          }};
}

void HangUpWatch::work() {
  epoll_event events[64];
  while (true) {
    const int count = ::epoll_wait(epoll_, events, std::size(events), -1);
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == end_) return;
      const auto call = calls_.find(events[i].data.fd);
      if (call != calls_.end()) call->second();
    }
  }
}

}  // namespace minke
