#pragma once
// A fixture that runs `minke serve` with a tiny model of random weights, and asks it.

#include <httplib.h>
#include <spawn.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "tiny_model.h"

extern char** environ;

namespace minke {

using Value = nlohmann::json;

class ServeProgram : public TinyModelTest {
 protected:
  // The model has more rows than the tokenizer has tokens, as many released ones have.
  ServeProgram()
      : TinyModelTest("--set model.max_position_embeddings=2048 --set model.vocab_size=1024") {}
  ~ServeProgram() override { stop(); }

  void spawn(const std::string& options) {
    const std::string command =
        fmt::format("cd '{}' && exec '{}' --threads 1 serve {} --port 0 >port 2>log",
                    folder_.string(), MINKE_PROGRAM, options);
    fs::remove(folder_ / "port");
    const char* arguments[] = {"/bin/sh", "-c", command.c_str(), nullptr};
    ASSERT_EQ(::posix_spawn(&process_, "/bin/sh", nullptr, nullptr, const_cast<char**>(arguments),
                            environ),
              0);
  }
  // Starts the server and waits until it listens.
  void start(const std::string& options = "run") {
    spawn(options);
    std::signal(SIGPIPE, SIG_IGN);  // a server may hang up while a request is being written
    for (int i = 0; i < 1000 && port_ == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      std::ifstream(folder_ / "port") >> port_;
    }
    ASSERT_NE(port_, 0) << read_file(folder_ / "log");
  }
  // Ends the server; its exit code.
  int stop() {
    if (process_ == 0) return -1;
    ::kill(process_, SIGTERM);
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = 0;
    port_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  httplib::Client client() const {
    httplib::Client client(fmt::format("{}://127.0.0.1:{}", scheme_, port_));
    client.set_read_timeout(60);
    if (scheme_ == "https") client.set_ca_cert_path(folder_ / "certificate.pem");
    return client;
  }
  struct Answer {
    int status;
    Value json;
  };
  Answer post(const std::string& path, const std::string& body,
              const httplib::Headers& headers = {}) const {
    const auto result = client().Post(path, headers, body, "application/json");
    if (!result) return {0, {}};
    return {result->status, Value::parse(result->body, nullptr, false)};
  }
  Answer post(const std::string& path, const Value& body) const { return post(path, body.dump()); }
  // The events of a stream, without the last [DONE].
  std::vector<Value> stream(const std::string& path, const Value& body) const {
    const auto result = client().Post(path, body.dump(), "application/json");
    std::vector<Value> events;
    EXPECT_TRUE(result && result->status == 200) << (result ? result->body : "");
    if (!result) return events;
    EXPECT_NE(result->body.find("data: [DONE]\n\n"), std::string::npos);
    std::istringstream lines(result->body);
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("data: {")) events.push_back(Value::parse(line.substr(6)));
    return events;
  }
  static Value chat(const std::string& text, int64_t tokens = 8) {
    return {{"messages", {{{"role", "user"}, {"content", text}}}},
            {"max_tokens", tokens},
            {"temperature", 0}};
  }
  double metric(const std::string& name) const {
    const auto result = client().Get("/metrics");
    const size_t at = result ? result->body.find("\n" + name + " ") : std::string::npos;
    return at == std::string::npos ? -1 : std::stod(result->body.substr(at + name.size() + 2));
  }

  // Whether `is_so` comes true within some seconds.
  static bool comes_true(const std::function<bool()>& is_so, int seconds = 20) {
    for (int i = 0; i < seconds * 50 && !is_so(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return is_so();
  }

  pid_t process_ = 0;
  int port_ = 0;
  std::string scheme_ = "http";
};

}  // namespace minke
