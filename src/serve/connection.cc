#include "serve/connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/machine.h"

namespace minke {
namespace {

void describe(const sockaddr_storage& address, std::string& ip, int& port) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    port = ntohs(v6.sin6_port);
  }
  ip = text;
}

}  // namespace

// Whether one of the events comes before the deadline.
bool Connection::wait_for(short events, double deadline) const {
  constexpr double slice = 0.5;
  while (!is_aborted_) {
    const double left = deadline - now_seconds();
    if (left <= 0) return false;
    pollfd poll = {socket_, events, 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(std::min(left, slice) * 1000) + 1);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
  return false;
}

// After a call to OpenSSL that could not go on: whether it is worth to try again.
bool Connection::wait_for_tls(int result, double deadline) const {
  const int error = SSL_get_error(tls_, result);
  if (error == SSL_ERROR_WANT_READ) return wait_for(POLLIN, deadline);
  return error == SSL_ERROR_WANT_WRITE && wait_for(POLLOUT, deadline);
}

bool Connection::shake_hands(double seconds) {
  ::fcntl(socket_, F_SETFL, ::fcntl(socket_, F_GETFL) | O_NONBLOCK);
  SSL_set_fd(tls_, socket_);
  const double deadline = now_seconds() + seconds;
  while (true) {
    const int result = SSL_accept(tls_);
    if (result == 1) return true;
    if (!wait_for_tls(result, deadline)) return false;
  }
}

bool Connection::wait(double seconds, const std::function<bool()>& is_stopping) {
  if (is_readable()) return true;
  constexpr double slice = 0.2;
  const double deadline = now_seconds() + seconds;
  while (!is_stopping() && now_seconds() < deadline)
    if (wait_for(POLLIN, std::min(deadline, now_seconds() + slice))) return true;
  return false;
}

void Connection::allow_reading(double seconds, int64_t bytes) {
  read_deadline_ = now_seconds() + seconds;
  read_bytes_left_ = bytes;
}

bool Connection::is_open() const {
  if (has_failed_ || is_aborted_) return false;
  pollfd poll = {socket_, POLLRDHUP, 0};
  return ::poll(&poll, 1, 0) == 0;
}

void Connection::linger() {
  constexpr double seconds = 1.0;
  constexpr int64_t most = int64_t{1} << 26;
  ::shutdown(socket_, SHUT_WR);
  allow_reading(seconds, most);
  begin_ = end_ = 0;
  while (wait_for(POLLIN, read_deadline_) && ::recv(socket_, buffer_, sizeof buffer_, 0) > 0)
    continue;
}

bool Connection::is_readable() const { return begin_ < end_ || (tls_ && SSL_pending(tls_) > 0); }

// Fills the buffer; like recv().
ssize_t Connection::read_some() {
  if (!tls_) {
    is_late_ = !wait_for(POLLIN, read_deadline_);
    return is_late_ ? -1 : ::recv(socket_, buffer_, sizeof buffer_, 0);
  }
  while (true) {
    const int count = SSL_read(tls_, buffer_, sizeof buffer_);
    if (count > 0) return count;
    if (!wait_for_tls(count, read_deadline_)) break;
  }
  is_late_ = now_seconds() >= read_deadline_;
  return -1;
}

ssize_t Connection::read(char* data, size_t size) {
  if (read_bytes_left_ <= 0) return -1;
  if (begin_ == end_) {
    const ssize_t count = read_some();
    if (count <= 0) {
      has_failed_ = !is_late_;  // who is late can still be told so
      return count;
    }
    begin_ = 0;
    end_ = static_cast<size_t>(count);
  }
  const size_t count = std::min({size, end_ - begin_, static_cast<size_t>(read_bytes_left_)});
  std::memcpy(data, buffer_ + begin_, count);
  begin_ += count;
  read_bytes_left_ -= static_cast<int64_t>(count);
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* data, size_t size) {
  const double deadline = now_seconds() + write_seconds_;
  while (!has_failed_) {
    if (tls_) {
      const int count = SSL_write(tls_, data, static_cast<int>(std::min<size_t>(size, 1 << 14)));
      if (count > 0) return count;
      has_failed_ = !wait_for_tls(count, deadline);
    } else {
      const ssize_t count = ::send(socket_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count >= 0) return count;
      const bool may_retry = errno == EAGAIN || errno == EINTR;
      has_failed_ = !may_retry || !wait_for(POLLOUT, deadline);
    }
  }
  return -1;
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (::getpeername(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    describe(address, ip, port);
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    describe(address, ip, port);
}

}  // namespace minke
