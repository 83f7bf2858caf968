// minke serve MODEL: an HTTP server.

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/load_options.h"
#include "serve/server.h"

namespace minke {
namespace {

struct Arguments {
  std::string model, models_file, compute, key_file;
  ServedModelOptions model_options;
  ServeOptions options;
};

// SIGINT and SIGTERM, taken by one thread that waits for them.
class SignalThread {
 public:
  // end_seconds: what the program's end may take from the first signal on.
  explicit SignalThread(double end_seconds) : end_seconds_(end_seconds) {
    std::signal(SIGPIPE, SIG_IGN);
    ::sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) ::sigaddset(&set_, signal);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    thread_ = std::thread([this] { work(); });
  }
  // The first signal calls stop(), and the next one ends the program. Before this is set the first
  // one does.
  void set_stop(std::function<void()> stop) {
    const std::lock_guard lock(mutex_);
    stop_ = std::move(stop);
  }
  ~SignalThread() {
    ::pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

 private:
  void work() {
    int signal = 0;
    ::sigwait(&set_, &signal);
    if (signal == SIGUSR1) return;
    {
      const std::lock_guard lock(mutex_);
      if (!stop_) std::_Exit(static_cast<int>(ExitCode::failed));
      info("open answers are finished; once more to end at once");
      stop_();
    }
    timespec left = {static_cast<time_t>(end_seconds_), 0};
    do signal = ::sigtimedwait(&set_, nullptr, &left);
    while (signal < 0 && errno == EINTR);
    if (signal == SIGUSR1) return;
    if (signal < 0) warn("the end took more than {:.0f} seconds and is cut off", end_seconds_);
    std::_Exit(static_cast<int>(ExitCode::failed));
  }

  const double end_seconds_;
  sigset_t set_;
  std::mutex mutex_;
  std::function<void()> stop_;
  std::thread thread_;
};

// One key a line; empty lines and what follows a # do not count.
void read_keys(const fs::path& path, std::vector<std::string>& keys) {
  const std::string text = read_file(path, int64_t{1} << 20);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.size(), text.find('\n', begin));
    std::string line = text.substr(begin, end - begin);
    line = line.substr(0, line.find('#'));
    line.erase(0, line.find_first_not_of(" \t\r"));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty()) keys.push_back(line);
    begin = end + 1;
  }
}

// The folder or file's name without its extension; of a run's checkpoint, the run's.
std::string model_name(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  const fs::path last = whole.has_filename() ? whole : whole.parent_path();
  return last.extension() == ".gguf" ? last.stem().string() : last.filename().string();
}

void run(Arguments a) {
  ServeOptions& options = a.options;
  if (!a.key_file.empty()) read_keys(a.key_file, options.keys);
  if (!a.models_file.empty()) {
    read_models_file(a.models_file, options);
  } else {
    a.model_options.path = a.model;
    a.model_options.compute = parse_compute(a.compute);
    if (a.model_options.name.empty()) a.model_options.name = model_name(a.model);
    options.models.push_back(a.model_options);
  }
  constexpr double grace = 5;  // seconds after the open answers, for what else may hang
  // Before any other thread is made, so that all leave signals to it.
  SignalThread signals(options.drain_seconds + grace);
  Server server(options);
  const int port = server.bind();
  signals.set_stop([&server] { server.stop(); });
  const char* scheme = options.certificate.empty() ? "http" : "https";
  const bool is_v6 = options.host.find(':') != std::string::npos;
  info("listening on {}://{}{}{}:{}", scheme, is_v6 ? "[" : "", options.host, is_v6 ? "]" : "",
       port);
  fmt::print("{}\n", port);
  std::fflush(stdout);
  server.serve();
}

void add_limits(CLI::App& command, ServeOptions& options) {
  command.add_option("--queue", options.queue, "Requests that wait for a model at most")
      ->check(CLI::Range(0, 1 << 20));
  command.add_option("--connections", options.connections, "Connections at once")
      ->check(CLI::Range(1, 1 << 16));
  command
      .add_option("--requests-per-minute", options.requests_per_minute, "Of one key; 0: any number")
      ->check(CLI::Range(0, 1 << 30));
  command.add_option("--requests-at-once", options.requests_at_once, "Of one key; 0: any number")
      ->check(CLI::Range(0, 1 << 30));
  command.add_option("--max-body", options.body_bytes, "Bytes of a request at most")
      ->check(CLI::Range(1024, 1 << 30));
  command.add_option("--read-timeout", options.read_seconds, "Seconds for a request to arrive")
      ->check(CLI::Range(0.1, 3600.0));
  command
      .add_option("--write-timeout", options.write_seconds,
                  "Seconds for a client to take an answer")
      ->check(CLI::Range(0.1, 3600.0));
  command.add_option("--answer-timeout", options.answer_seconds, "Seconds for a whole answer")
      ->check(CLI::Range(0.1, 1e6));
  command
      .add_option("--keep-alive", options.keep_alive_seconds,
                  "Seconds of silence before a stream shows that it lives")
      ->check(CLI::Range(0.01, 3600.0));
  command.add_option("--drain", options.drain_seconds, "Seconds for open answers at the end")
      ->check(CLI::Range(0.0, 3600.0));
}

void add_model_options(CLI::App& command, Arguments& a) {
  auto* what = command.add_option_group("models", "What to serve");
  what->add_option("model", a.model, "Hugging Face directory, run's folder or GGUF file");
  what->add_option("--models", a.models_file, "TOML file with several models")
      ->check(CLI::ExistingFile);
  what->require_option(1);
  command.add_option("--name", a.model_options.name, "The model's name (default: its path's)");
  command.add_option("--context", a.model_options.context, "Tokens of one sequence at most")
      ->check(CLI::Range(1, 1 << 24));
  command.add_option("--cache-tokens", a.model_options.cache_tokens, "Tokens that the cache holds")
      ->check(CLI::Range(1, 1 << 30));
  command.add_option("--max-sequences", a.model_options.max_sequences, "Answers that grow at once")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--draft-tokens", a.model_options.draft_tokens,
                  "Guessed with each token; 0: none")
      ->check(CLI::Range(0, 16));
  add_compute_option(command, a.compute);
  add_memory_option(command, a.options.memory_bytes);
}

}  // namespace

void add_serve_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  ServeOptions& options = a->options;
  CLI::App* command = app.add_subcommand("serve", "Models behind HTTP");
  add_model_options(*command, *a);
  command->add_option("--host", options.host, "Address; others than 127.0.0.1 need a key");
  command->add_option("--port", options.port, "Port; 0: any that is free")
      ->check(CLI::Range(0, 65535));
  command->add_option("--api-key", options.keys, "A key that lets in; may be repeated");
  command->add_option("--api-key-file", a->key_file, "File with a key a line")
      ->check(CLI::ExistingFile);
  command->add_option("--cors-origin", options.origins, "Whose pages may ask; may be repeated");
  command->add_option("--tls-certificate", options.certificate, "PEM file: TLS")
      ->check(CLI::ExistingFile);
  command->add_option("--tls-key", options.private_key, "PEM file")->check(CLI::ExistingFile);
  command->add_option("--runs", options.runs, "Folder of training runs to show")
      ->check(CLI::ExistingDirectory);
  add_limits(*command, options);
  command->callback([a] { run(*a); });
}

}  // namespace minke
