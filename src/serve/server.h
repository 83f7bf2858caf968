#pragma once
// The whole server.

#include "serve/handlers.h"

namespace minke {

class Server {
 public:
  // Checks the options and loads the first model. Wrong ones are usage Errors: an address other
  // than this machine's own without a key, files that are missing.
  explicit Server(ServeOptions options);
  ~Server();

  // Listens; returns the port.
  int bind();
  // Serves until stop(), then waits for open answers, for so long as the options say. An Error if
  // the system gives no more connections.
  void serve();
  // Any thread.
  void stop();

 private:
  void add_routes();
  void add_openai_routes();
  void add_run_routes();
  void add(const char* method, const std::string& path, void (*handler)(Service&, Exchange&));

  const ServeOptions options_;
  ServerMetrics metrics_;
  ClientLimits limits_;
  ModelPool pool_;
  Service service_;
  HttpServer http_;
  std::atomic<bool> is_stopping_ = false;
};

}  // namespace minke
