#include "serve/http_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <future>

#include "base/error.h"
#include "serve/connection_threads.h"

namespace minke {
namespace {

ServeOptions any_port() {
  ServeOptions options;
  options.port = 0;
  return options;
}

// The socket of this process that listens on the port.
int listening_socket(int port) {
  for (int socket = 3; socket < 1024; ++socket) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens) continue;
    sockaddr_in address = {};
    size = sizeof address;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
    if (ntohs(address.sin_port) == port) return socket;
  }
  return -1;
}

TEST(HttpServer, EndsWhereTheSystemGivesNoMoreConnections) {
  HttpServer server(any_port());
  const int port = server.bind();
  auto served = std::async(std::launch::async, [&] { server.serve(); });
  while (!server.is_listening()) std::this_thread::yield();
  EXPECT_FALSE(server.has_failed());
  ::shutdown(listening_socket(port), SHUT_RDWR);  // accept() fails from here on
  EXPECT_THROW(served.get(), Error);
  EXPECT_TRUE(server.has_failed());
  server.stop();
}

TEST(HttpServer, WhatEscapesAnAnswerEndsItsConnectionOnly) {
  HttpServer server(any_port());
  const auto work = [](Exchange& exchange) { exchange.reply("{}"); };
  server.add("GET", "/", {work, false});
  bool is_first = true;
  server.on_done = [&](const std::string&, int, double) {
    if (std::exchange(is_first, false)) throw std::runtime_error("a fault");
  };
  const int port = server.bind();
  auto served = std::async(std::launch::async, [&] { server.serve(); });
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(httplib::Client("127.0.0.1", port).Get("/"));
  while (server.active() > 0) std::this_thread::yield();
  server.stop();
  served.get();
}

TEST(ConnectionThreads, OutliveWhatAJobThrows) {
  int ends = 0;
  ConnectionThreads threads(1, [&] { ++ends; });
  for (int i = 0; i < 3; ++i) threads.enqueue([] { throw std::runtime_error("a fault"); });
  threads.enqueue([] { throw 1; });
  threads.shutdown();
  EXPECT_EQ(ends, 1);
}

TEST(HttpServer, ThePortIsNotShared) {
  HttpServer first(any_port());
  ServeOptions same = any_port();
  same.port = first.bind();
  EXPECT_THROW(HttpServer(same).bind(), Error);
}

}  // namespace
}  // namespace minke
