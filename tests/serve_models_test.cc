// minke serve with several models, with every family's layout of tool calls, and with TLS.

#include <sys/stat.h>

#include <set>

#include "base/machine.h"
#include "serve_program.h"

namespace minke {
namespace {

// Copies of the tiny model that say they belong to other families.
class ServeModels : public ServeProgram {
 protected:
  using Names = std::vector<std::pair<std::string, std::string>>;

  // chat_template: what the family is recognised by. renamed: special tokens, old and new.
  void copy_model(const std::string& name, const std::string& chat_template = "",
                  const Names& renamed = {}) {
    const fs::path to = folder_ / name;
    fs::copy(folder_ / "run/checkpoints/step-1/model", to);
    if (chat_template.empty()) return;
    for (const char* file : {"tokenizer.json", "tokenizer_config.json"}) {
      Value json = Value::parse(read_file(to / file));
      if (file == std::string("tokenizer_config.json")) json["chat_template"] = chat_template;
      std::string text = json.dump();
      for (const auto& [old_name, new_name] : renamed)
        for (size_t at = 0; (at = text.find(old_name, at)) != std::string::npos;)
          text.replace(at, old_name.size(), new_name);
      write_file(to / file, text);
    }
  }
  // Those that the metrics name.
  std::set<std::string> loaded() const {
    const std::string metrics = client().Get("/metrics")->body;
    const std::string begin = "\nminke_cache_pages{model=\"";
    std::set<std::string> names;
    for (size_t at = metrics.find(begin); at != std::string::npos; at = metrics.find(begin, at)) {
      at += begin.size();
      names.insert(metrics.substr(at, metrics.find('"', at) - at));
    }
    return names;
  }
  Answer ask(const std::string& model, int64_t tokens = 8) const {
    Value body = chat("ships and whales", tokens);
    body["model"] = model;
    return post("/v1/chat/completions", body);
  }
};

// Each model takes a little more than 90 MB, nearly all of it for its cache, and 64 MiB for
// grammars.
TEST_F(ServeModels, AreLoadedOnDemandWithinTheMemory) {
  std::string file;
  for (const std::string name : {"a", "b", "c"}) {
    copy_model(name);
    file +=
        fmt::format("[[model]]\nname = \"{0}\"\npath = \"{0}\"\ncache_tokens = 1000000\n", name);
  }
  file += "[[model]]\nname = \"gone\"\npath = \"gone\"\n";
  file += "[[model]]\nname = \"huge\"\npath = \"a\"\ncache_tokens = 9000000\n";
  file +=
      "[aliases]\n\"gpt-4o\" = \"b\"\n\"deepseek-reasoner\" = {model = \"c\", thinking = true}\n";
  write_file(folder_ / "models.toml", file);
  start("--models models.toml --memory 0.4");
  using Names = std::set<std::string>;
  EXPECT_EQ(loaded(), Names({"a"}));
  const Answer b = ask("b");
  ASSERT_EQ(b.status, 200) << b.json;
  EXPECT_EQ(loaded(), Names({"a", "b"}));
  EXPECT_EQ(ask("").json["model"], "a");
  std::atomic<bool> has_ended = false;
  std::thread scraper([&] {
    for (double last = 0; !has_ended;) {
      const double tokens = metric("minke_generated_tokens_total");
      EXPECT_GE(tokens, last);
      last = tokens;
    }
  });
  EXPECT_EQ(ask("c").status, 200);
  EXPECT_EQ(loaded(), Names({"a", "c"})) << "the one least recently used makes room";
  EXPECT_EQ(ask("gpt-4o").json["choices"], b.json["choices"]);
  EXPECT_EQ(loaded(), Names({"b", "c"}));
  const Answer reasoner = ask("deepseek-reasoner"), plain = ask("deepseek-chat");
  EXPECT_TRUE(reasoner.json["choices"][0]["message"].contains("reasoning_content"));
  EXPECT_FALSE(plain.json["choices"][0]["message"].contains("reasoning_content"));
  EXPECT_EQ(plain.json["model"], "deepseek-chat");
  EXPECT_EQ(ask("d").status, 404);
  EXPECT_EQ(ask("gone").status, 500);
  EXPECT_EQ(ask("huge").status, 503);
  EXPECT_EQ(loaded(), Names({"a", "c"})) << "nothing is unloaded for what can never fit";
  EXPECT_EQ(ask("b").status, 200);
  Names listed;
  const Value models = Value::parse(client().Get("/v1/models")->body);
  for (const Value& model : models["data"]) listed.insert(model["id"]);
  EXPECT_EQ(listed,
            Names({"a", "b", "c", "gone", "huge", "gpt-4o", "deepseek-chat", "deepseek-reasoner"}));
  for (const std::string& name : listed) {
    const Value model = Value::parse(client().Get("/v1/models/" + name)->body);
    EXPECT_EQ(model["id"], name);
  }
  EXPECT_EQ(client().Get("/v1/models/d")->status, 404);
  EXPECT_EQ(client().Get("/v1/models/")->status, 404);
  EXPECT_EQ(client().Delete("/v1/models/a")->status, 405);
  has_ended = true;
  scraper.join();
}

TEST_F(ServeModels, OneThatAnswersIsNotUnloaded) {
  for (const std::string name : {"a", "b"}) copy_model(name);
  write_file(folder_ / "models.toml",
             "[[model]]\nname = \"a\"\npath = \"a\"\ncache_tokens = 1000000\n"
             "[[model]]\nname = \"b\"\npath = \"b\"\ncache_tokens = 1000000\n");
  start("--models models.toml --memory 0.2");
  std::atomic<bool> has_ended = false;
  std::thread long_answer([&] {
    EXPECT_EQ(ask("a", 1900).status, 200);
    has_ended = true;
  });
  EXPECT_TRUE(comes_true([&] { return metric("minke_running_requests{model=\"a\"}") == 1; }));
  const Answer refused = ask("b");
  EXPECT_TRUE(refused.status == 503 || has_ended) << refused.json;
  long_answer.join();
  EXPECT_EQ(ask("b").status, 200);
  EXPECT_EQ(loaded(), std::set<std::string>({"b"}));
}

// Opening the model's configuration waits for a writer that never comes.
TEST_F(ServeModels, ALoadHoldsUpNobody) {
  copy_model("a");
  copy_model("slow");
  fs::remove(folder_ / "slow/config.json");
  ASSERT_EQ(::mkfifo((folder_ / "slow/config.json").c_str(), 0600), 0);
  write_file(folder_ / "models.toml",
             "[[model]]\nname = \"a\"\npath = \"a\"\n"
             "[[model]]\nname = \"slow\"\npath = \"slow\"\n");
  start("--models models.toml --answer-timeout 2 --drain 0");
  std::thread late([&] { EXPECT_EQ(ask("slow").status, 503); });
  Value body = chat("ships");
  body["model"] = "slow";
  httplib::Client impatient = client();
  impatient.set_read_timeout(0, 200000);
  EXPECT_FALSE(impatient.Post("/v1/chat/completions", body.dump(), "application/json"));
  EXPECT_TRUE(comes_true([&] {
    return metric("minke_requests_total{path=\"/v1/chat/completions\",status=\"499\"}") == 1;
  }));
  EXPECT_EQ(ask("a").status, 200);
  late.join();
  const double before = now_seconds();
  EXPECT_EQ(stop(), 1) << "the load never ends";
  EXPECT_LT(now_seconds() - before, 20);
  spawn("slow");
  EXPECT_TRUE(comes_true([&] { return fs::exists(folder_ / "log"); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const double first = now_seconds();
  EXPECT_EQ(stop(), 1);
  EXPECT_LT(now_seconds() - first, 2);
}

TEST_F(ServeModels, AFileThatIsWrongIsTold) {
  write_file(folder_ / "models.toml", "[[model]]\nname = \"a\"\npath = \"run\"\nwings = 2\n");
  fails("serve --port 0 --models models.toml", 2, "unknown key 'wings'");
  write_file(folder_ / "models.toml",
             "[[model]]\nname = \"a\"\npath = \"run\"\n[aliases]\nb = \"c\"\n");
  fails("serve --port 0 --models models.toml", 2, "'c'");
  write_file(folder_ / "models.toml", "[[model]\n");
  fails("serve --port 0 --models models.toml", 2, "models.toml:1");
}

class ServeTools : public ServeModels {
 protected:
  ServeTools() {
    const std::string user = "<｜User｜>";
    copy_model("v3", user);
    copy_model("v31", user + " thinking </think>");
    copy_model("qwen", "<|im_start|>",
               {{"<｜User｜>", "<|im_start|>"},
                {"<｜Assistant｜>", "<|im_end|>"},
                {"<｜tool▁calls▁begin｜>", "<tool_call>"},
                {"<｜tool▁calls▁end｜>", "</tool_call>"}});
    copy_model("qwen3", "<|im_start|> enable_thinking",
               {{"<｜User｜>", "<|im_start|>"},
                {"<｜Assistant｜>", "<|im_end|>"},
                {"<｜tool▁calls▁begin｜>", "<tool_call>"},
                {"<｜tool▁calls▁end｜>", "</tool_call>"}});
    copy_model("llama", "<|start_header_id|>",
               {{"<｜User｜>", "<|start_header_id|>"},
                {"<｜Assistant｜>", "<|end_header_id|>"},
                {"<｜begin▁of▁sentence｜>", "<|begin_of_text|>"},
                {"<|EOT|>", "<|eot_id|>"}});
    std::string file;
    for (const std::string name : {"v3", "v31", "qwen", "qwen3", "llama"})
      file += fmt::format("[[model]]\nname = \"{0}\"\npath = \"{0}\"\n", name);
    write_file(folder_ / "models.toml", file);
    start("--models models.toml");
  }

  static constexpr const char* call_token = "991";  // begins calls; but for Llama's, which are text

  static Value schema() {
    return {{"type", "object"},
            {"properties", {{"a", {{"enum", {"x", "y"}}}}, {"b", {{"type", "boolean"}}}}},
            {"required", {"a", "b"}},
            {"additionalProperties", false}};
  }
  static bool follows_schema(const std::string& text) {
    const Value json = Value::parse(text, nullptr, false);
    return json.is_object() && json.size() == 2 && (json["a"] == "x" || json["a"] == "y") &&
           json["b"].is_boolean();
  }
  // Two strict tools are offered.
  static Value request(const std::string& model, int seed) {
    Value body = chat("a whale", 300);
    const auto tool = [](const char* name) {
      return Value{{"type", "function"},
                   {"function", {{"name", name}, {"strict", true}, {"parameters", schema()}}}};
    };
    body.update({{"model", model},
                 {"temperature", 1},
                 {"seed", seed},
                 {"parallel_tool_calls", false},
                 {"tools", {tool("look"), tool("find")}}});
    return body;
  }
  static Value format() {
    return {{"type", "json_schema"}, {"json_schema", {{"name", "n"}, {"schema", schema()}}}};
  }
  // Whether the answer is one call, of a tool that was offered.
  static void expect_call(const Answer& answer) {
    ASSERT_EQ(answer.status, 200) << answer.json;
    const Value& choice = answer.json["choices"][0];
    EXPECT_EQ(choice["finish_reason"], "tool_calls") << choice;
    ASSERT_EQ(choice["message"]["tool_calls"].size(), 1u) << choice;
    const Value& function = choice["message"]["tool_calls"][0]["function"];
    EXPECT_TRUE(function["name"] == "look" || function["name"] == "find") << function;
    EXPECT_TRUE(follows_schema(function["arguments"])) << function;
    EXPECT_TRUE(choice["message"]["content"].is_null()) << choice;
  }
  Answer ask_with(Value body) const { return post("/v1/chat/completions", body); }
};

TEST_F(ServeTools, StrictCallsFollowTheirSchemasInEveryLayout) {
  for (const std::string model : {"v3", "v31", "qwen", "llama"}) {
    SCOPED_TRACE(model);
    std::set<std::string> names;
    for (int seed = 1; seed <= 8; ++seed) {
      Value body = request(model, seed);
      body["tool_choice"] = "required";
      body["temperature"] = 2;
      const Answer answer = ask_with(body);
      expect_call(answer);
      const Value& function = answer.json["choices"][0]["message"]["tool_calls"][0]["function"];
      names.insert(function["name"]);
      body["stream"] = true;
      std::string arguments;
      for (const Value& event : stream("/v1/chat/completions", body))
        if (event["choices"][0]["delta"].contains("tool_calls"))
          arguments += event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
      EXPECT_EQ(arguments, function["arguments"]);
    }
    EXPECT_EQ(names.size(), 2u);
  }
}

TEST_F(ServeTools, StrictCallsAreLeftToTheModel) {
  for (const std::string model : {"v3", "v31", "qwen"}) {
    SCOPED_TRACE(model);
    Value body = request(model, 1);
    body["logit_bias"] = {{call_token, 100}};
    expect_call(ask_with(body));
    body["logit_bias"] = {{call_token, -100}};
    const Value choice = ask_with(body).json["choices"][0];
    EXPECT_FALSE(choice["message"].contains("tool_calls")) << choice;
  }
  EXPECT_EQ(ask_with(request("llama", 1)).status, 422);
}

// With a format beside the tools the answer is a call or has the format.
TEST_F(ServeTools, AFormatIsForAnswersThatCallNothing) {
  for (const std::string model : {"v3", "v31", "qwen"}) {
    SCOPED_TRACE(model);
    Value body = request(model, 1);
    body["response_format"] = format();
    body["logit_bias"] = {{call_token, 100}};
    expect_call(ask_with(body));
    body["logit_bias"] = {{call_token, -100}};
    const Value message = ask_with(body).json["choices"][0]["message"];
    EXPECT_TRUE(follows_schema(message["content"])) << message;
    body["logit_bias"] = {{call_token, 100}};
    body["tool_choice"] = "none";
    EXPECT_TRUE(follows_schema(ask_with(body).json["choices"][0]["message"]["content"]));
  }
  int calls = 0;
  for (int seed = 1; seed <= 12; ++seed) {
    Value body = request("llama", seed);
    body["response_format"] = format();
    const Answer answer = ask_with(body);
    const Value message = answer.json["choices"][0]["message"];
    if (message.contains("tool_calls")) {
      ++calls;
      expect_call(answer);
    } else {
      EXPECT_TRUE(follows_schema(message["content"])) << message;
    }
  }
  EXPECT_GT(calls, 0);
  EXPECT_LT(calls, 12);
}

// Qwen3 opens its reasoning itself; where something is demanded of the answer, the prompt does.
TEST_F(ServeTools, AModelThatOpensItsReasoningThinksFirst) {
  constexpr int64_t budget = 6;
  Value body = request("qwen3", 3);
  body["thinking_budget"] = budget;
  const auto expect_thought = [&](const Answer& answer) {
    ASSERT_EQ(answer.status, 200) << answer.json;
    EXPECT_EQ(answer.json["usage"]["completion_tokens_details"]["reasoning_tokens"], budget)
        << answer.json;
    EXPECT_FALSE(answer.json["choices"][0]["message"].value("reasoning_content", "").empty());
  };
  body["tool_choice"] = "required";
  const Answer call = ask_with(body);
  expect_thought(call);
  expect_call(call);
  body["tool_choice"] = "none";
  body["response_format"] = format();
  const Answer shaped = ask_with(body);
  expect_thought(shaped);
  EXPECT_TRUE(follows_schema(shaped.json["choices"][0]["message"]["content"])) << shaped.json;
  body.erase("response_format");
  expect_thought(ask_with(body));
  // Without a demand the prompt is the template's.
  const auto prompt_tokens = [&] {
    return ask_with(body).json["usage"]["prompt_tokens"].get<int>();
  };
  body["max_tokens"] = 1;
  const int opened = prompt_tokens();
  body.erase("thinking_budget");
  EXPECT_LT(prompt_tokens(), opened);
}

TEST_F(ServeProgram, SpeaksTls) {
  ASSERT_EQ(shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                  "-days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout key.pem "
                  "-out certificate.pem")
                .code,
            0);
  fails("serve run --port 0 --tls-certificate certificate.pem", 2, "--tls-key");
  fails("serve run --port 0 --tls-certificate key.pem --tls-key certificate.pem", 2, "key.pem");
  start("run --tls-certificate certificate.pem --tls-key key.pem");
  const auto plain = client().Post("/v1/chat/completions", chat("ships", 2).dump(), "text/plain");
  EXPECT_FALSE(plain) << "no HTTP without TLS";
  scheme_ = "https";
  const Answer whole = post("/v1/chat/completions", chat("ships and whales", 40));
  ASSERT_EQ(whole.status, 200);
  Value body = chat("ships and whales", 40);
  body["stream"] = true;
  std::string pieces;
  for (const Value& event : stream("/v1/chat/completions", body))
    pieces += event["choices"][0]["delta"].value("content", std::string());
  EXPECT_EQ(pieces, whole.json["choices"][0]["message"]["content"]);
  const auto page = client().Get("/");
  ASSERT_TRUE(page);
  EXPECT_NE(page->body.find("</html>"), std::string::npos);
  EXPECT_EQ(stop(), 0);
}

}  // namespace
}  // namespace minke
