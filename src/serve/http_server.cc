#include "serve/http_server.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "serve/connection_threads.h"

namespace minke {
namespace {

constexpr size_t longest_path = 256;
constexpr int backlog = 511;  // connections that the kernel keeps until they are accepted

// What the thread is busy with: the library hands its handlers no context of ours.
struct Current {
  Connection* connection = nullptr;
  std::string path;  // of the route; "" for none
  double arrival = 0;
  int status = 0;
};
thread_local Current current;

double thread_cpu_seconds() {
  timespec time = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

bool equal_in_constant_time(const std::string& a, const std::string& b) {
  const std::string hash_a = sha256(a), hash_b = sha256(b);
  return CRYPTO_memcmp(hash_a.data(), hash_b.data(), hash_a.size()) == 0;
}

// "https://localhost:80" -> "localhost:80"
std::string_view authority_of(std::string_view origin) {
  const size_t begin = origin.find("://");
  return begin == std::string_view::npos ? origin : origin.substr(begin + 3);
}

std::string_view host_of(std::string_view authority) {
  const size_t bracket = authority.find(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return authority.substr(0, colon);
}

}  // namespace

struct HttpServer::TlsContext {
  TlsContext(const fs::path& certificate, const fs::path& key)
      : owner(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free) {
    SSL_CTX* context = owner.get();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
    const auto check = [](int result, const char* what, const fs::path& path) {
      if (result == 1) return;
      const char* reason = ERR_reason_error_string(ERR_get_error());
      fail_usage("{}: no {} in PEM form that can be used ({})", path.string(), what,
                 reason ? reason : "no reason given");
    };
    check(SSL_CTX_use_certificate_chain_file(context, certificate.c_str()), "certificate",
          certificate);
    check(SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM), "private key", key);
    check(SSL_CTX_check_private_key(context), "private key of the certificate", key);
  }
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> owner;
};

void Exchange::reply(const std::string& text, int status, const char* type) {
  response.status = status;
  response.set_content(text, type);
}

HttpServer::HttpServer(const ServeOptions& options) : options_(options) {
  if (!options.certificate.empty())
    tls_ = std::make_unique<TlsContext>(options.certificate, options.private_key);
  const auto threads = static_cast<size_t>(options.connections);
  new_task_queue = [this, threads] {
    return new ConnectionThreads(threads, [this] { end_accepting(); });
  };
  // Not the library's SO_REUSEPORT, with which a second server would share the port.
  set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  // Only what the header Keep-Alive says; serve_connection() keeps to it.
  set_keep_alive_timeout(static_cast<time_t>(options.idle_seconds));
  set_keep_alive_max_count(1 << 20);
  set_tcp_nodelay(true);
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    const bool has_body =
        request.has_header("Content-Length") || request.has_header("Transfer-Encoding");
    current.connection->allow_reading(options_.read_seconds,
                                      options_.body_bytes + options_.header_bytes);
    // A POST that the table has goes on to where its body is read. Without one of the headers the
    // body is empty (RFC 9112, section 6.3); the library would read until the client hangs up.
    if (request.method == "POST" && has_body) {
      const auto found = routes_.find(request.path);
      if (found != routes_.end() && found->second.contains("POST"))
        return HandlerResponse::Unhandled;
    }
    current.connection->must_close |= has_body;
    answer(request, response, nullptr);
    return HandlerResponse::Handled;
  });
  Post(".*",
       [this](const httplib::Request& request, httplib::Response& response,
              const httplib::ContentReader& content) { answer(request, response, &content); });
  set_logger([](const httplib::Request&, const httplib::Response& response) {
    current.status = response.status;
  });
  set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    current.connection->must_close = true;
    response.set_header("Connection", "close");
    if (current.connection->is_late()) response.status = 408;
    const ApiError error(response.status, response.status == 408
                                              ? "the request did not arrive in time"
                                              : "the request is no valid HTTP");
    response.set_content(error_json(error), "application/json; charset=utf-8");
  });
}

HttpServer::~HttpServer() = default;

void HttpServer::add(const std::string& method, const std::string& path, Route route) {
  routes_[path][method] = std::move(route);
}

void HttpServer::add_below(const std::string& prefix, Route route) {
  below_[prefix] = std::move(route);
}

int HttpServer::bind() {
  const int port = options_.port == 0
                       ? bind_to_any_port(options_.host)
                       : (bind_to_port(options_.host, options_.port) ? options_.port : -1);
  if (port < 0)
    fail("cannot listen on {} port {}: another program may have it; choose one with --port",
         options_.host, options_.port);
  ::listen(svr_sock_, backlog);
  return port;
}

void HttpServer::serve() {
  listen_after_bind();
  if (has_failed_)
    fail("the system gives no more connections on {}; see the kernel's log for what is short",
         options_.host);
}

// The library's loop ends when it is told to, or where accept() fails in a way that it does not
// know; then it has closed the socket already.
void HttpServer::end_accepting() {
  if (is_stopping_.exchange(true)) return;
  svr_sock_ = INVALID_SOCKET;
  has_failed_ = true;
}

void HttpServer::stop() {
  is_stopping_ = true;
  if (svr_sock_ != INVALID_SOCKET) httplib::Server::stop();
}

bool HttpServer::process_and_close_socket(socket_t socket) {
  if (is_overloaded()) {
    const std::string body = error_json(ApiError(503, "too many connections; try again later"));
    const std::string text = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: application/json\r\n"
        "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        body.size(), body);
    if (!tls_) ::send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(socket, SHUT_WR);
    ::close(socket);
    return false;
  }
  SSL* tls = tls_ ? SSL_new(tls_->owner.get()) : nullptr;
  Connection connection(socket, tls, is_aborted_, watch_);
  try {
    if (!tls || connection.shake_hands(options_.read_seconds)) serve_connection(connection);
  } catch (const std::exception& e) {  // not of a handler: those are answered
    error("a connection ended: {}", e.what());
  }
  current = {};
  if (tls) {
    SSL_shutdown(tls);
    SSL_free(tls);
    ERR_clear_error();
  }
  ::close(socket);
  return true;
}

void HttpServer::serve_connection(Connection& connection) {
  connection.set_write_seconds(options_.write_seconds);
  const auto is_stopping = [this] { return is_stopping_.load(); };
  while (!connection.must_close && connection.wait(options_.idle_seconds, is_stopping)) {
    connection.allow_reading(options_.read_seconds, options_.header_bytes);
    const double cpu = thread_cpu_seconds();
    current = {&connection, "", now_seconds()};
    ++active_;
    const std::shared_ptr<void> active(nullptr, [this](void*) { --active_; });
    bool is_closed = false;
    const bool is_good =
        process_request(connection, is_stopping_, is_closed, [](httplib::Request& request) {
          // Answers are small and come in pieces: neither packed nor cut into ranges.
          request.headers.erase("Accept-Encoding");
          request.headers.erase("Range");
          request.ranges.clear();
        });
    if (on_done && current.status != 0)
      on_done(current.path, current.status, thread_cpu_seconds() - cpu);
    if (!is_good || is_closed || is_stopping_) break;
  }
  connection.linger();
}

const HttpServer::Route& HttpServer::find_route(const httplib::Request& request) const {
  const auto found = routes_.find(request.path);
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  for (const auto& [prefix, route] : below_) {
    const bool is_below = request.path.starts_with(prefix) && found == routes_.end();
    if (!is_below || request.path.size() > longest_path) continue;
    if (method != "GET") throw ApiError(405, fmt::format("{} takes no {}", prefix, request.method));
    current.path = prefix;
    return route;
  }
  if (request.path.size() > longest_path || found == routes_.end())
    throw ApiError(404, fmt::format("there is nothing at {}; /openapi.json lists what there is",
                                    request.path.substr(0, longest_path)));
  const auto route = found->second.find(method);
  if (route == found->second.end())
    throw ApiError(405, fmt::format("{} takes no {}", found->first, request.method));
  current.path = found->first;
  return route->second;
}

std::string HttpServer::client_of(const httplib::Request& request) const {
  if (options_.keys.empty()) return request.remote_addr;
  std::string given = request.get_header_value("Authorization");
  constexpr std::string_view scheme = "Bearer ";  // in any case of letters (RFC 9110)
  const bool is_bearer = ::strncasecmp(given.c_str(), scheme.data(), scheme.size()) == 0;
  given = is_bearer ? given.substr(scheme.size()) : request.get_header_value("X-Api-Key");
  size_t found = options_.keys.size();
  for (size_t i = 0; i < options_.keys.size(); ++i)
    if (equal_in_constant_time(options_.keys[i], given)) found = i;
  if (found == options_.keys.size())
    throw ApiError(401, given.empty() ? "no API key; send the header Authorization: Bearer KEY"
                                      : "the API key is not one of this server's");
  return fmt::format("key {}", found);
}

// Pages of other sites must not use a server that asks for no key: neither by a form, nor by a name
// that they make point to this machine.
void HttpServer::allow_origin(const httplib::Request& request, httplib::Response& response) const {
  const std::string host = request.get_header_value("Host");
  if (options_.keys.empty() && !host.empty()) {
    const std::string_view name = host_of(host);
    if (name != "localhost" && name != "127.0.0.1" && name != "[::1]" && name != options_.host)
      throw ApiError(403, "the Host header names another machine; use localhost, or set API keys");
  }
  if (!request.has_header("Origin")) return;
  const std::string origin = request.get_header_value("Origin");
  const bool is_listed = std::any_of(options_.origins.begin(), options_.origins.end(),
                                     [&](const std::string& o) { return o == "*" || o == origin; });
  if (is_listed) {
    response.set_header("Access-Control-Allow-Origin", origin);
    response.set_header("Vary", "Origin, Access-Control-Request-Headers");
    return;
  }
  const bool is_own = authority_of(origin) == host;
  if (!is_own && options_.keys.empty())
    throw ApiError(403, "pages of other origins may not ask; --cors-origin lets one in");
}

void HttpServer::check_body_headers(const httplib::Request& request) const {
  if (request.has_header("Content-Encoding"))
    throw ApiError(415, "a compressed body; send it as it is");
  const std::string type = request.get_header_value("Content-Type");
  if (type.starts_with("multipart/"))
    throw ApiError(415, "the body is a form; send application/json");
  const std::string length = request.get_header_value("Content-Length");
  const bool is_number = length.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number) throw ApiError(400, "Content-Length is no number");
  if (length.size() > 18 || (!length.empty() && std::stoll(length) > options_.body_bytes))
    throw ApiError(413,
                   fmt::format("the body has {} bytes; at most {}", length, options_.body_bytes));
}

void HttpServer::find_and_run(const httplib::Request& request, httplib::Response& response,
                              const httplib::ContentReader* content, const Route*& route) {
  allow_origin(request, response);
  if (request.method == "OPTIONS") {
    response.status = 204;
    response.set_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    // Clients send headers of their own (X-Stainless-..., Anthropic-Beta); none is a secret to us.
    if (response.has_header("Access-Control-Allow-Origin"))
      response.set_header("Access-Control-Allow-Headers",
                          request.get_header_value("Access-Control-Request-Headers"));
    return;
  }
  route = &find_route(request);
  std::string client = request.remote_addr;
  if (route->needs_key) client = client_of(request);
  check_body_headers(request);
  std::string body;
  if (content) {
    const bool is_whole = (*content)([&](const char* data, size_t size) {
      if (body.size() + size > static_cast<size_t>(options_.body_bytes)) return false;
      body.append(data, size);
      return true;
    });
    if (!is_whole && current.connection->is_late())
      throw ApiError(408, "the body did not arrive in time");
    if (!is_whole)
      throw ApiError(
          413, fmt::format("the body is cut off, or has more than {} bytes", options_.body_bytes));
    current.connection->must_close = false;
  }
  if (route->needs_key && content && on_request) on_request(client);
  Exchange exchange{request, body, response, *current.connection, client, current.arrival};
  route->handler(exchange);
}

void HttpServer::answer(const httplib::Request& request, httplib::Response& response,
                        const httplib::ContentReader* content) {
  const Route* route = nullptr;
  if (content) current.connection->must_close = true;  // until the body was read
  const auto refuse = [&](const ApiError& error) {
    const bool as_anthropic = route && route->errors_as_anthropic;
    response.status = error.status;
    if (error.retry_after > 0)
      response.set_header("Retry-After", std::to_string(error.retry_after));
    if (error.status == 401) response.set_header("WWW-Authenticate", "Bearer");
    response.set_content(as_anthropic ? anthropic_error_json(error) : error_json(error),
                         "application/json; charset=utf-8");
  };
  try {
    find_and_run(request, response, content, route);
  } catch (const ApiError& error) {
    refuse(error);
  } catch (const ClientGone&) {
    // 499 is for the metrics: nobody reads it.
    refuse(current.connection->is_aborted() ? ApiError(503, "the server is about to end")
                                            : ApiError(499, "the client has hung up"));
    current.connection->must_close = true;
  } catch (const Error& e) {
    if (e.code() != ExitCode::usage) error("{}: {}", request.path, e.what());
    refuse(ApiError(e.code() == ExitCode::usage ? 400 : 500, e.what()));
  } catch (const std::bad_alloc&) {
    refuse(ApiError(503, "out of memory; try again later"));
  } catch (const std::exception& e) {
    error("{}: {}", request.path, e.what());
    refuse(ApiError(500, "an error in the server"));
  }
  if (current.connection->must_close) response.set_header("Connection", "close");
}

}  // namespace minke
