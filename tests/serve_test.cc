// minke serve, through the program.

#include "raw_client.h"
#include "serve_program.h"

#include "api/client.h"
#include "api/error.h"
#include "base/machine.h"

namespace minke {
namespace {

TEST_F(ServeProgram, ChatWholeAndInPieces) {
  start();
  const Answer whole = post("/v1/chat/completions", chat("ships and whales", 12));
  ASSERT_EQ(whole.status, 200) << whole.json;
  const std::string content = whole.json["choices"][0]["message"]["content"];
  EXPECT_EQ(whole.json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(whole.json["usage"]["completion_tokens"], 12);
  EXPECT_EQ(whole.json["usage"]["prompt_cache_hit_tokens"].get<int>() +
                whole.json["usage"]["prompt_cache_miss_tokens"].get<int>(),
            whole.json["usage"]["prompt_tokens"]);
  Value body = chat("ships and whales", 12);
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  std::string pieces;
  const auto events = stream("/chat/completions", body);
  for (const Value& event : events)
    if (!event["choices"].empty())
      pieces += event["choices"][0]["delta"].value("content", std::string());
  EXPECT_EQ(pieces, content);
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], 12);
  EXPECT_TRUE(events.front()["usage"].is_null());
  body = chat("ships and whales", 4);
  body.update({{"n", 3}, {"temperature", 1}, {"seed", 7}, {"logprobs", true}, {"top_logprobs", 2}});
  const Answer three = post("/beta/chat/completions", body);
  ASSERT_EQ(three.json["choices"].size(), 3u);
  EXPECT_EQ(three.json["choices"][1]["logprobs"]["content"].size(), 4u);
  EXPECT_EQ(three.json["choices"][1]["logprobs"]["content"][0]["top_logprobs"].size(), 2u);
  EXPECT_EQ(post("/v1/chat/completions", body).json["choices"], three.json["choices"]);
}

TEST_F(ServeProgram, ReasoningToolsAndSchemas) {
  start();
  Value body = chat("a whale", 400);
  const Value schema = {
      {"type", "object"}, {"properties", {{"a", {{"enum", {"x", "y"}}}}}}, {"required", {"a"}}};
  body["response_format"] = {{"type", "json_schema"},
                             {"json_schema", {{"name", "n"}, {"schema", schema}}}};
  body["thinking"] = {{"type", "enabled"}, {"budget_tokens", 5}};
  const Answer shaped = post("/v1/chat/completions", body);
  ASSERT_EQ(shaped.status, 200) << shaped.json;
  const Value& message = shaped.json["choices"][0]["message"];
  EXPECT_FALSE(message["reasoning_content"].get<std::string>().empty());
  EXPECT_EQ(shaped.json["usage"]["completion_tokens_details"]["reasoning_tokens"], 5);
  const Value content = Value::parse(message["content"].get<std::string>(), nullptr, false);
  EXPECT_TRUE(content["a"] == "x" || content["a"] == "y") << message;
  body = chat("a whale", 400);
  body["temperature"] = 1;
  body["seed"] = 4;
  body["parallel_tool_calls"] = false;
  body["tools"] = {{{"type", "function"},
                    {"function", {{"name", "look"}, {"strict", true}, {"parameters", schema}}}},
                   {{"type", "function"},
                    {"function", {{"name", "find"}, {"strict", true}, {"parameters", schema}}}}};
  body["tool_choice"] = {{"type", "function"}, {"function", {{"name", "find"}}}};
  const Answer call = post("/v1/chat/completions", body);
  ASSERT_EQ(call.status, 200) << call.json;
  EXPECT_EQ(call.json["choices"][0]["finish_reason"], "tool_calls") << call.json;
  const Value function = call.json["choices"][0]["message"]["tool_calls"][0]["function"];
  EXPECT_EQ(function["name"], "find");
  const Value arguments = Value::parse(function["arguments"].get<std::string>(), nullptr, false);
  EXPECT_TRUE(arguments["a"] == "x" || arguments["a"] == "y") << function;
  body["stream"] = true;
  std::string streamed;
  for (const Value& event : stream("/v1/chat/completions", body))
    if (event["choices"][0]["delta"].contains("tool_calls"))
      streamed += event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
  EXPECT_EQ(streamed, function["arguments"]);
}

TEST_F(ServeProgram, CompletionsAndTokens) {
  start();
  const std::string text = "ships and whales in the sea";
  const Answer scored =
      post("/v1/completions",
           Value{{"prompt", text}, {"max_tokens", 1}, {"echo", true}, {"logprobs", 1}});
  ASSERT_EQ(scored.status, 200) << scored.json;
  const Value logprobs = scored.json["choices"][0]["logprobs"];
  const Outcome reference = run("--quiet --threads 1 score run --text '" + text + "'");
  std::istringstream lines(reference.out);
  size_t i = 0;
  for (std::string line; std::getline(lines, line);) {
    const Value value = Value::parse(line);
    if (!value.contains("logprob")) continue;
    const Value& ours = logprobs["token_logprobs"].at(i++);
    if (value["logprob"].is_null())
      EXPECT_TRUE(ours.is_null());
    else
      EXPECT_NEAR(ours.get<double>(), value["logprob"].get<double>(), 1e-4);
  }
  EXPECT_EQ(logprobs["token_logprobs"].size(), i + 1);
  EXPECT_TRUE(scored.json["choices"][0]["text"].get<std::string>().starts_with(text));
  const Value tokens = post("/tokenize", Value{{"content", text}}).json["tokens"];
  EXPECT_EQ(post("/detokenize", Value{{"tokens", tokens}}).json["content"], text);
  EXPECT_EQ(post("/tokenize", Value{{"content", std::string(300000, 'x')}}).status, 400);
  Value several = {{"prompt", {tokens, tokens}}, {"max_tokens", 5}, {"temperature", 0}};
  const Answer two = post("/completions", several);
  ASSERT_EQ(two.json["choices"].size(), 2u) << two.json;
  EXPECT_EQ(two.json["choices"][0]["text"], two.json["choices"][1]["text"]);
  const Answer filled = post("/beta/completions",
                             Value{{"prompt", "ships "}, {"suffix", " whales"}, {"max_tokens", 3}});
  EXPECT_EQ(filled.status, 200) << filled.json;
}

// Tokens may be halves of characters, and a stop string holds text back.
TEST_F(ServeProgram, TextOffsetsCountCharacters) {
  start();
  Value body = {{"prompt", "größe 🐋 und 鯨 ships"},
                {"max_tokens", 30},
                {"temperature", 2},
                {"seed", 4},
                {"echo", true},
                {"logprobs", 0},
                {"stop", "no such text"}};
  const Answer whole = post("/v1/completions", body);
  ASSERT_EQ(whole.status, 200) << whole.json;
  const Value logprobs = whole.json["choices"][0]["logprobs"];
  const std::string text = whole.json["choices"][0]["text"];
  std::vector<size_t> begins;  // of the text's characters, in bytes
  for (size_t i = 0; i < text.size(); ++i)
    if ((text[i] & 0xc0) != 0x80) begins.push_back(i);
  int64_t last = 0;
  int compared = 0;
  for (size_t i = 0; i < logprobs["tokens"].size(); ++i) {
    const std::string token = logprobs["tokens"][i];
    const int64_t offset = logprobs["text_offset"][i];
    EXPECT_GE(offset, last);
    last = offset;
    ASSERT_LE(offset, static_cast<int64_t>(begins.size()));
    if (token.starts_with("bytes:") || token.starts_with("<")) continue;  // no text of its own
    EXPECT_EQ(text.compare(begins[offset], token.size(), token), 0) << token << " at " << offset;
    ++compared;
  }
  EXPECT_GT(compared, 10);
  EXPECT_EQ(logprobs["text_offset"][0], 0);
  body["stream"] = true;
  Value streamed = Value::array();
  for (const Value& event : stream("/v1/completions", body))
    for (const Value& offset : event["choices"][0]["logprobs"]["text_offset"])
      streamed.push_back(offset);
  EXPECT_EQ(streamed, logprobs["text_offset"]);
}

// A greedy answer alone and among 63 others, half of which hang up in the middle.
TEST_F(ServeProgram, TheSameAnswerInACrowd) {
  start("run --max-sequences 64");
  const auto alone = post("/v1/chat/completions", chat("ships and whales", 40));
  std::vector<std::thread> others;
  for (int i = 0; i < 63; ++i)
    others.emplace_back([this, i] {
      Value body = chat(fmt::format("{} whales in the sea", i), 60);
      body["stream"] = true;
      httplib::Client other = client();
      httplib::Request request;
      request.method = "POST";
      request.path = "/v1/chat/completions";
      request.headers = {{"Content-Type", "application/json"}};
      request.body = body.dump();
      size_t bytes = 0;
      request.content_receiver = [&](const char*, size_t size, uint64_t, uint64_t) {
        bytes += size;
        return i % 2 == 0 || bytes < 2000;
      };
      other.send(request);
    });
  const auto crowded = post("/v1/chat/completions", chat("ships and whales", 40));
  for (std::thread& other : others) other.join();
  EXPECT_EQ(crowded.json["choices"], alone.json["choices"]);
  EXPECT_TRUE(comes_true([&] { return metric("minke_cache_pages_used{model=\"run\"}") == 0; }));
}

TEST_F(ServeProgram, WrongRequestsAreToldAndTheNextOneWorks) {
  start("run --max-body 2000000 --read-timeout 1");
  const std::string path = "/v1/chat/completions";
  const auto is_refused = [&](const std::string& body, int status) {
    const Answer answer = post(path, body);
    EXPECT_EQ(answer.status, status) << body.substr(0, 100) << "\n" << answer.json;
    EXPECT_TRUE(answer.json["error"]["message"].is_string());
    EXPECT_EQ(post(path, chat("ships", 2)).status, 200);
  };
  is_refused("{\"messages\": [", 400);
  is_refused("[]", 400);
  is_refused("{\"messages\": \"no\"}", 400);
  is_refused("{\"messages\": [{\"role\": \"user\", \"content\": \"\\ud800\"}]}", 400);
  is_refused("{\"messages\": [{\"role\": \"user\", \"content\": \"\xff\"}]}", 400);
  is_refused(std::string(100000, '['), 400);
  is_refused(std::string(3000000, ' '), 413);
  Value body = chat("ships", 2);
  const auto with = [&](const char* key, const Value& value) {
    Value changed = body;
    changed[key] = value;
    return changed.dump();
  };
  is_refused(with("max_tokens", -1), 422);
  is_refused(with("max_tokens", 1e300), 422);
  is_refused(with("temperature", "hot"), 400);
  is_refused(with("n", 1000), 422);
  is_refused(with("model", "nothing"), 404);
  is_refused(with("logit_bias", {{"whale", 1}}), 400);
  is_refused(with("messages", {{{"role", "whale"}, {"content", ""}}}), 422);
  is_refused(chat(std::string(400000, 'x')).dump(), 400);
  Value many = Value::array();
  for (int i = 0; i < 10000; ++i) many.push_back({{"role", "user"}, {"content", "x"}});
  is_refused(with("messages", many), 422);
  Value bomb = {{"type", "string"}, {"maxLength", 1000000000}};
  for (int i = 0; i < 20; ++i)
    bomb = {{"type", "array"}, {"items", bomb}, {"minItems", 1000}, {"maxItems", 1000}};
  is_refused(with("response_format",
                  {{"type", "json_schema"}, {"json_schema", {{"name", "b"}, {"schema", bomb}}}}),
             400);
  EXPECT_EQ(client().Get("/v1/nothing")->status, 404);
  EXPECT_EQ(client().Get("/v1/chat/completions")->status, 405);
  RawClient bare(port_);  // no header says that there is a body
  bare.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_NE(bare.read("\r\n").find("HTTP/1.1 400"), std::string::npos);
  EXPECT_EQ(client().Get("/../../etc/passwd")->status, 404);
  httplib::Client half("127.0.0.1", port_);  // promises a body that never comes
  const auto late = half.Post(path, {{"Content-Length", "100"}}, "{", "application/json");
  ASSERT_TRUE(late);
  EXPECT_EQ(late->status, 408);
  EXPECT_EQ(post(path, chat("ships", 2)).status, 200);
}

TEST_F(ServeProgram, AnswersOfOneRequestAreLimited) {
  start("run --max-sequences 2");
  const auto ask = [this](size_t prompts, int n, size_t tokens) {
    const std::vector<int> prompt(tokens, 5);
    const Value body = {
        {"prompt", std::vector(prompts, prompt)}, {"n", n}, {"max_tokens", 2}, {"temperature", 0}};
    return post("/v1/completions", body);
  };
  EXPECT_EQ(ask(17, 16, 1).status, 422);
  EXPECT_EQ(ask(160, 1, 2000).status, 422);
  const Answer many = ask(16, 2, 3);  // more than the engine is given at once
  ASSERT_EQ(many.status, 200);
  EXPECT_EQ(many.json["choices"].size(), 32u);
  EXPECT_EQ(many.json["usage"]["completion_tokens"], 64);
}

// Ids between the tokenizer's last and the embedding's are nobody's.
TEST_F(ServeProgram, IdsOfPaddingAreRefused) {
  start();
  for (const bool echo : {false, true})
    for (const int id : {1000, 1023, 1024}) {
      const Value body = {{"prompt", {5, id}}, {"echo", echo}, {"repetition_penalty", 1.1}};
      EXPECT_EQ(post("/v1/completions", body).status, 400) << body;
    }
  EXPECT_EQ(post("/v1/completions", Value{{"prompt", {5, 999}}}).status, 200);
}

TEST_F(ServeProgram, KeysLimitsAndOrigins) {
  EXPECT_EQ(run("serve run --host 0.0.0.0 --port 0").code, 2);
  start(
      "run --api-key secret-one --api-key secret-two --requests-per-minute 4 "
      "--cors-origin http://a.example");
  const std::string path = "/v1/chat/completions", body = chat("ships", 2).dump();
  EXPECT_EQ(post(path, body).status, 401);
  EXPECT_EQ(post(path, body, {{"Authorization", "Bearer secret"}}).status, 401);
  EXPECT_EQ(client().Get("/health")->status, 200);
  const httplib::Headers first = {{"Authorization", "Bearer secret-one"}};
  int refused = 0;
  for (int i = 0; i < 6; ++i) refused += post(path, body, first).status == 429;
  EXPECT_EQ(refused, 2);
  EXPECT_TRUE(client().Post(path, first, body, "application/json")->has_header("Retry-After"));
  EXPECT_EQ(post(path, body, {{"X-Api-Key", "secret-two"}}).status, 200);
  EXPECT_EQ(client().Get("/v1/models", {{"Authorization", "bearer secret-one"}})->status, 200)
      << "only POSTs count, and the scheme's case does not";
  const auto preflight = client().Options(
      path, {{"Origin", "http://a.example"},
             {"Access-Control-Request-Headers", "x-stainless-os, anthropic-beta"}});
  EXPECT_EQ(preflight->get_header_value("Access-Control-Allow-Origin"), "http://a.example");
  EXPECT_EQ(preflight->get_header_value("Access-Control-Allow-Headers"),
            "x-stainless-os, anthropic-beta");
  const auto stranger = client().Options(
      path, {{"Origin", "http://b.example"}, {"Access-Control-Request-Headers", "x"}});
  EXPECT_FALSE(stranger->has_header("Access-Control-Allow-Headers"));
  stop();
  start();
  EXPECT_EQ(post(path, body, {{"Origin", "http://b.example"}}).status, 403);
  EXPECT_EQ(post(path, body, {{"Host", "b.example"}}).status, 403);
  EXPECT_EQ(post(path, body, {{"Origin", fmt::format("http://127.0.0.1:{}", port_)}}).status, 200);
}

TEST_F(ServeProgram, AFullQueueRefusesAndTheEndIsOrderly) {
  start("run --max-sequences 1 --queue 1 --drain 1");
  std::vector<std::thread> others;
  std::atomic<int> refused = 0;
  for (int i = 0; i < 12; ++i)
    others.emplace_back([&] {
      const int status = post("/v1/chat/completions", chat("x")).status;
      EXPECT_TRUE(status == 200 || status == 429) << status;
      refused += status == 429;
    });
  for (std::thread& other : others) other.join();
  const auto burst = [&] {
    Value body = {{"prompt", "ships"}, {"max_tokens", 1800}, {"logit_bias", Value::object()}};
    const Answer answer = post("/completions", body);
    refused += answer.status == 429;
  };
  others.clear();
  for (int i = 0; i < 12; ++i) others.emplace_back(burst);
  for (std::thread& other : others) other.join();
  EXPECT_GE(refused, 1);
  EXPECT_EQ(client().Get("/ready")->status, 200);
  const double before = now_seconds();
  EXPECT_EQ(stop(), 0);
  EXPECT_LT(now_seconds() - before, 20);
}

TEST_F(ServeProgram, TheClientReadsWhatTheServerWrites) {
  start();
  const ApiClient api(fmt::format("http://127.0.0.1:{}/v1", port_), "");
  const ChatCompletion answer = api.chat(
      {{"messages", Json::array({{{"role", "user"}, {"content", "ships"}}})}, {"max_tokens", 5}});
  ASSERT_EQ(answer.choices.size(), 1u);
  EXPECT_EQ(answer.usage.completion_tokens, 5);
  EXPECT_THROW(api.chat({{"model", "nothing"}, {"messages", Json::array()}}), ApiError);
}

TEST_F(ServeProgram, RunsAreListedAndReadFromAByteOn) {
  start("run --runs .");
  const Value runs = Value::parse(client().Get("/api/runs")->body);
  ASSERT_EQ(runs["runs"].size(), 1u) << runs;
  EXPECT_EQ(runs["runs"][0]["name"], "run");
  const Value all = Value::parse(client().Get("/api/runs/run/metrics")->body);
  EXPECT_FALSE(all["lines"].empty());
  const int64_t next = all["next"];
  EXPECT_EQ(next, static_cast<int64_t>(fs::file_size(folder_ / "run/metrics.jsonl")));
  const auto rest = client().Get(fmt::format("/api/runs/run/metrics?after={}", next));
  EXPECT_TRUE(Value::parse(rest->body)["lines"].empty());
  const auto beyond = client().Get(fmt::format("/api/runs/run/metrics?after={}", next + 1));
  EXPECT_EQ(Value::parse(beyond->body), all) << "a shorter file is read again";
  EXPECT_TRUE(Value::parse(client().Get("/api/runs/run/samples")->body)["lines"].empty());
  EXPECT_EQ(client().Get("/api/runs/run/ledger")->status, 200);
  fs::remove(folder_ / "run/ledger.json");
  EXPECT_EQ(client().Get("/api/runs/run/ledger")->body, "null");
  EXPECT_EQ(client().Get("/api/runs/../ledger")->status, 404);
  EXPECT_EQ(client().Get("/api/runs/run%2f..%2frun/ledger")->status, 404);
}

}  // namespace
}  // namespace minke
