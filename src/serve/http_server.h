#pragma once
// HTTP on one port: threads, limits, and a table of exact paths. Knows nothing of models.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "api/error.h"
#include "serve/connection.h"
#include "serve/options.h"

namespace minke {

// A request while it is answered.
struct Exchange {
  const httplib::Request& request;
  const std::string& body;
  httplib::Response& response;
  Connection& connection;
  std::string client;  // who asks: its key, or its address where keys are not asked for
  double arrival;      // now_seconds()

  void reply(const std::string& text, int status = 200,
             const char* type = "application/json; charset=utf-8");
};

// Handlers run on many threads at once. What they throw becomes an error in OpenAI's shape.
class HttpServer : private httplib::Server {
 public:
  using Handler = std::function<void(Exchange&)>;
  struct Route {
    Handler handler;
    bool needs_key = true;
    bool errors_as_anthropic = false;
  };

  // Does not keep a reference to the options.
  explicit HttpServer(const ServeOptions& options);
  ~HttpServer() override;

  void add(const std::string& method, const std::string& path, Route route);
  // GETs of all paths that begin so and have no route of their own.
  void add_below(const std::string& prefix, Route route);
  // Called after each answer, with the route's path ("" for none), status, and the CPU seconds that
  // the thread spent.
  std::function<void(const std::string& path, int status, double cpu_seconds)> on_done;
  // Asked before a POST is handled, with a client's name: refuses by an ApiError.
  std::function<void(const std::string& client)> on_request;

  // Listens, and returns the port. An address that cannot be had is an Error.
  int bind();
  bool is_listening() const { return is_running(); }
  // Serves until stop(). An Error if the system gives no more connections before that.
  void serve();
  // No connections come any more though nobody called stop(); serve() waits for those it has.
  bool has_failed() const { return has_failed_; }
  // No new connections and no further requests on old ones; open answers go on. Any thread.
  void stop();
  // After stop(): open answers are cut off.
  void abort() { is_aborted_ = true; }
  // Answers that are being written.
  int64_t active() const { return active_; }

 private:
  bool process_and_close_socket(socket_t socket) override;
  void serve_connection(Connection& connection);
  void end_accepting();
  void answer(const httplib::Request& request, httplib::Response& response,
              const httplib::ContentReader* content);
  const Route& find_route(const httplib::Request& request) const;
  std::string client_of(const httplib::Request& request) const;
  void check_body_headers(const httplib::Request& request) const;
  void allow_origin(const httplib::Request& request, httplib::Response& response) const;
  void find_and_run(const httplib::Request& request, httplib::Response& response,
                    const httplib::ContentReader* content, const Route*& route);

  struct TlsContext;

  ServeOptions options_;
  std::map<std::string, std::map<std::string, Route>> routes_;  // by path and method
  std::map<std::string, Route> below_;                          // by prefix
  std::unique_ptr<TlsContext> tls_;
  HangUpWatch watch_;
  std::atomic<bool> is_stopping_ = false, is_aborted_ = false, has_failed_ = false;
  std::atomic<int64_t> active_ = 0;
};

}  // namespace minke
