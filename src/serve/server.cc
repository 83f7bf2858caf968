#include "serve/server.h"

#include <ctime>
#include <thread>

#include "api/response.h"
#include "base/log.h"
#include "base/machine.h"
#include "serve/openapi.h"
#include "serve/page.h"
#include "serve/runs.h"

namespace minke {
namespace {

ServeOptions checked(ServeOptions options) {
  const bool is_local =
      options.host == "127.0.0.1" || options.host == "localhost" || options.host == "::1";
  if (!is_local && options.keys.empty())
    fail_usage("{} can be reached from other machines: set --api-key or --api-key-file first",
               options.host);
  if (options.certificate.empty() != options.private_key.empty())
    fail_usage("TLS needs both --tls-certificate and --tls-key");
  for (const std::string& key : options.keys)
    if (key.size() < 8) fail_usage("an API key has {} characters; at least 8", key.size());
  return options;
}

int64_t after_of(const Exchange& exchange) {
  const std::string text = exchange.request.get_param_value("after");
  if (text.empty()) return 0;
  if (text.size() > 15 || text.find_first_not_of("0123456789") != std::string::npos)
    refuse_form("after", "after is no number of bytes");
  return std::stoll(text);
}

}  // namespace

Server::Server(ServeOptions options)
    : options_(checked(std::move(options))),
      metrics_(options_.prices),
      limits_(options_.requests_per_minute, options_.requests_at_once),
      pool_(options_),
      service_{options_, pool_, metrics_, limits_},
      http_(options_) {
  http_.on_done = [this](const std::string& path, int status, double cpu) {
    metrics_.count_request(path, status, cpu);
  };
  http_.on_request = [this](const std::string& client) { limits_.count(client); };
  add_routes();
  pool_.acquire("", [] {});
}

Server::~Server() = default;

void Server::add(const char* method, const std::string& path,
                 void (*handler)(Service&, Exchange&)) {
  http_.add(method, path, {[this, handler](Exchange& exchange) { handler(service_, exchange); }});
}

void Server::add_openai_routes() {
  for (const std::string base : {"", "/v1", "/beta", "/beta/v1"}) {
    add("POST", base + "/chat/completions", handle_chat);
    add("POST", base + "/completions", handle_completion);
    add("POST", base + "/embeddings", handle_embeddings);
    add("POST", base + "/responses", handle_responses);
    http_.add("POST", base + "/messages",
              {[this](Exchange& exchange) { handle_messages(service_, exchange); }, true, true});
    http_.add(
        "POST", base + "/messages/count_tokens",
        {[this](Exchange& exchange) { handle_count_tokens(service_, exchange); }, true, true});
    add("POST", base + "/tokenize", handle_tokenize);
    add("POST", base + "/detokenize", handle_detokenize);
    add("GET", base + "/models", [](Service& service, Exchange& exchange) {
      exchange.reply(to_text(models_json(service.pool.names())));
    });
    const std::string prefix = base + "/models/";
    http_.add_below(prefix, {[this, prefix](Exchange& exchange) {
                      const std::string name = exchange.request.path.substr(prefix.size());
                      pool_.check_name(name);
                      exchange.reply(to_text(model_json(name)));
                    }});
  }
}

void Server::add_run_routes() {
  const fs::path folder = options_.runs;  // without one, an empty list
  http_.add("GET", "/api/runs",
            {[folder](Exchange& exchange) { exchange.reply(to_text(list_runs(folder))); }});
  const std::string prefix = "/api/runs/";
  http_.add_below(
      prefix, {[folder, prefix](Exchange& exchange) {
        const std::string rest = exchange.request.path.substr(prefix.size());
        const size_t slash = rest.rfind('/');
        const std::string run = rest.substr(0, slash);
        const std::string what = slash == std::string::npos ? "" : rest.substr(slash + 1);
        if (what == "ledger")
          exchange.reply(run_ledger(folder, run));
        else if (what == "metrics")
          exchange.reply(to_text(run_lines(folder, run, "metrics.jsonl", after_of(exchange))));
        else if (what == "samples")
          exchange.reply(to_text(run_lines(folder, run, "samples.jsonl", after_of(exchange))));
        else
          throw ApiError(404, "a run has metrics, samples and ledger");
      }});
}

void Server::add_routes() {
  add_openai_routes();
  add_run_routes();
  const auto ready = [this](Exchange& exchange) {
    if (is_stopping_) throw ApiError(503, "the server is about to end");
    if (!pool_.has_loaded()) throw ApiError(503, "no model is loaded");
    exchange.reply(R"({"status":"ready"})");
  };
  const auto page = [](Exchange& exchange) {
    exchange.response.set_header("Content-Security-Policy", "frame-ancestors 'none'");
    exchange.reply(std::string(web_page()), 200, "text/html; charset=utf-8");
  };
  http_.add("GET", "/", {page, false});
  http_.add("GET", "/health",
            {[](Exchange& exchange) { exchange.reply(R"({"status":"ok"})"); }, false});
  http_.add("GET", "/ready", {ready, false});
  const auto openapi = [](Exchange& exchange) { exchange.reply(openapi_document()); };
  http_.add("GET", "/openapi.json", {openapi, false});
  http_.add("GET", "/metrics", {[this](Exchange& exchange) {
              exchange.reply(metrics_.text(pool_.states()), 200,
                             "text/plain; version=0.0.4; charset=utf-8");
            }});
}

int Server::bind() { return http_.bind(); }

void Server::serve() {
  const std::jthread watch([this] {
    while (!http_.has_failed() && (!is_stopping_ || !http_.is_listening()))
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    http_.stop();
    const double deadline = now_seconds() + options_.drain_seconds;
    while (http_.active() > 0 && now_seconds() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (http_.active() > 0) warn("{} answers are cut off", http_.active());
    http_.abort();
  });
  http_.serve();
}

void Server::stop() { is_stopping_ = true; }

}  // namespace minke
