#pragma once
// One client's socket, plain or with TLS, with deadlines and limits.

#include <httplib.h>
#include <openssl/ssl.h>

#include <atomic>
#include <functional>

#include "serve/hang_up_watch.h"

namespace minke {

// Thrown where an answer is of no use any more: the client has hung up, or the server ends.
struct ClientGone {};

// Not thread-safe. Does not own the socket. Reads and writes fail at a deadline, reads also beyond
// a number of bytes.
class Connection : public httplib::Stream {
 public:
  // tls: null for a plain socket.
  // is_aborted: once it is true, nothing waits any more.
  Connection(int socket, SSL* tls, const std::atomic<bool>& is_aborted, HangUpWatch& watch)
      : socket_(socket), tls_(tls), is_aborted_(is_aborted), watch_(watch) {}

  // The server's part of the handshake; false if there is no agreement within so many seconds.
  bool shake_hands(double seconds);

  // Whether a request begins to arrive within so many seconds, in slices between which
  // is_stopping() is asked.
  bool wait(double seconds, const std::function<bool()>& is_stopping);
  // So many seconds and bytes from here on.
  void allow_reading(double seconds, int64_t bytes);
  void set_write_seconds(double seconds) { write_seconds_ = seconds; }
  // Whether reading stopped because no time was left.
  bool is_late() const { return is_late_; }

  // False once the client has hung up, or stopped to read.
  bool is_open() const;
  bool is_aborted() const { return is_aborted_; }
  // Calls on_hang_up from another thread as soon as the client does, while the handle lives.
  std::shared_ptr<void> watch(std::function<void()> on_hang_up) const {
    return watch_.watch(socket_, std::move(on_hang_up));
  }
  // After an answer to a request that was not read to its end: the rest is thrown away for a
  // moment, because closing at once would take the answer from the client.
  void linger();

  // Set where the answer must be the last one on this connection.
  bool must_close = false;

  bool is_readable() const override;
  bool is_writable() const override { return is_open(); }
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  bool wait_for(short events, double deadline) const;
  bool wait_for_tls(int result, double deadline) const;
  ssize_t read_some();

  int socket_;
  SSL* tls_;
  const std::atomic<bool>& is_aborted_;
  HangUpWatch& watch_;
  double read_deadline_ = 0, write_seconds_ = 30;
  int64_t read_bytes_left_ = 0;
  bool is_late_ = false, has_failed_ = false;
  char buffer_[8192];
  size_t begin_ = 0, end_ = 0;  // of what was read ahead
};

}  // namespace minke
