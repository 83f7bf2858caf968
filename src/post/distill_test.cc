// Distillation: a teacher of another architecture and tokenizer, sampling that is interrupted,
// exact resuming, servers that misbehave, and divergence from a teacher that falls.
#include <gtest/gtest.h>
#include <httplib.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <thread>

#include "ledger/ledger.h"
#include "ledger/metrics.h"
#include "plan/flops.h"
#include "post/distill_run.h"
#include "post/distill_samples.h"
#include "post/on_policy.h"
#include "post/sft.h"
#include "post/tiny_model.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

// Sums that a Qwen2 with a tokenizer of its own has learned by heart; the student is a DeepSeek.
class DistillTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    files = new TinyModel("distill");
    fs::create_directories(files->run("untaught"));
    BpeTrainer trainer({.vocab_size = 310});
    for (int i = 0; i < 200; ++i) trainer.add("sums of " + std::to_string(i));
    const TokenizerDefinition definition = trainer.train();
    write_tokenizer(definition, files->run("untaught"));
    ModelConfig config = model_defaults(ModelType::qwen2);
    config.vocab_size = Tokenizer(definition).vocab_size();
    config.hidden_size = 32;
    config.intermediate_size = 48;
    config.num_hidden_layers = 2;
    config.num_attention_heads = 4;
    config.num_key_value_heads = 2;
    config.head_dim = 8;
    config.max_position_embeddings = 64;
    resolve_model_config(config);
    Arena arena(1 << 22);
    const Weights weights(config, arena, false);
    initialize_weights(weights, 0.05, 3);
    save_weights(files->run("untaught"), config, weights, DType::f32);
    std::string lines, problems;
    for (int n = 1; n <= 6; ++n) {
      lines += fmt::format("{{\"prompt\": \"{}+1=\", \"completion\": \"{}\"}}\n", n, n + 1);
      problems += fmt::format("{{\"question\": \"{}+1=\", \"answer\": \"{}\"}}\n", n, n + 1);
    }
    write_file(files->run("sums.jsonl"), lines);
    write_file(files->run("problems.jsonl"), problems);
    write_file(files->run("held_out.jsonl"), "{\"question\": \"7+1=\", \"answer\": \"8\"}\n");
    run_sft(parse_sft_config(
                fmt::format("model = \"{0}\"\noutput = \"{1}\"\nepochs = 40\ncompute = \"f32\"\n"
                            "[data]\ntrain = \"{2}\"\nmax_tokens = 32\n"
                            "[batch]\ntokens = 24\nmicro_batch_tokens = 32\n"
                            "[optimizer]\nlearning_rate = 0.01\nweight_decay = 0.0\n",
                            files->run("untaught").string(), files->run("teacher").string(),
                            files->run("sums.jsonl").string()),
                "teacher", {}),
            false);
  }
  static void TearDownTestSuite() {
    delete files;
    files = nullptr;
  }

  static DistillConfig config(const std::string& run) {
    DistillConfig c;
    c.model = files->model();
    c.output = files->run(run);
    c.compute = ComputeDType::f32;
    c.teacher.model = files->run("teacher");
    c.samples.problems = 100;
    c.samples.per_problem = 6;
    c.samples.keep = 2;
    c.samples.max_prompt_tokens = 32;
    c.samples.max_tokens = 6;
    c.sft.epochs = 20;
    c.sft.max_tokens = 32;
    c.sft.batch_tokens = 24;
    c.sft.micro_batch_tokens = 32;
    c.rollout.max_prompt_tokens = 32;
    c.rollout.max_tokens = 6;
    c.rollout.sequences = 8;
    c.on_policy.steps = 8;
    c.on_policy.prompts = 4;
    c.on_policy.group = 4;
    c.on_policy.micro_batch_tokens = 96;
    c.optimizer.learning_rate = 1e-2;
    c.optimizer.weight_decay = 0;
    c.evaluation.every_steps = 0;
    c.evaluation.problems = 1;
    c.task.families = "jsonl";
    c.task.path = files->run("problems.jsonl");
    c.task.test_path = files->run("held_out.jsonl");
    c.task.held_out = 1e-6;
    return c;
  }
  static std::string weights_of(const DistillConfig& c) {
    return read_file(*find_checkpoint(c.output) / "trainer" / "state.safetensors");
  }
  static std::vector<Json> lines_of(const DistillConfig& c, const char* name) {
    std::ifstream file(fs::path(c.output) / name);
    std::vector<Json> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  static std::string samples_of(const DistillConfig& c) {
    return read_file(fs::path(c.output) / "samples.jsonl");
  }

  inline static TinyModel* files = nullptr;
};

std::string error_of(const DistillConfig& config, bool resume = false) {
  try {
    run_distill(config, resume);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(DistillTest, TheRightAnswersOfAnotherKindOfModelAreLearned) {
  const DistillConfig c = config("samples");
  run_distill(c, false);
  const std::vector<Json> samples = lines_of(c, "samples.jsonl");
  ASSERT_GE(samples.size(), 4u);
  ASSERT_LE(samples.size(), 12u);
  for (const Json& sample : samples) {
    const std::string prompt = sample["prompt"], completion = sample["completion"];
    EXPECT_EQ(std::stoi(completion), std::stoi(prompt) + 1) << sample;
    EXPECT_EQ(sample["parse_special"], true);
  }
  const std::vector<Json> answers = lines_of(c, "teacher.jsonl");
  EXPECT_EQ(answers.size(), 37u);  // and the line of settings
  const std::vector<Json> metrics = read_metrics(fs::path(c.output) / "metrics.jsonl");
  const Json& counts = metrics[0];
  EXPECT_EQ(counts["problems"], 6);
  EXPECT_EQ(counts["sampled"], 36);
  EXPECT_EQ(counts["kept"], samples.size());
  EXPECT_GT(counts["right"], 20);
  EXPECT_EQ(counts["right"].get<int64_t>() - counts["kept"].get<int64_t>(),
            counts["duplicates"].get<int64_t>());
  EXPECT_GT(counts["teacher_seconds"], 0.0);

  // Two operations a weight and token, prompts and answers once.
  double flops = 0;
  const ModelConfig teacher = ModelSource::open(c.teacher.model).config();
  for (size_t i = 1; i < answers.size(); ++i) {
    const int64_t tokens =
        answers[i]["prompt_tokens"].get<int64_t>() + answers[i]["tokens"].get<int64_t>();
    flops += static_cast<double>(tokens) * forward_flops_per_token(teacher, tokens, false);
  }
  EXPECT_NEAR(counts["teacher_flops"], flops, 1e-9 * flops);
  EXPECT_EQ(metrics[1]["step"], 0);
  EXPECT_TRUE(metrics[1].contains("held_out"));
  EXPECT_TRUE(metrics[1].contains("greedy"));
  EXPECT_EQ(metrics[1]["flops"], counts["teacher_flops"]);
  double first = 0, last = 0;
  for (const Json& line : metrics)
    if (line.contains("loss")) {
      if (first == 0) first = line["loss"];
      last = line["loss"];
      flops += line["flops"].get<double>();
    }
  EXPECT_LT(last, 0.2 * first);
  EXPECT_EQ(metrics.back()["teacher_flops"], counts["teacher_flops"]);
  EXPECT_NEAR(metrics.back()["flops"], flops, 1e-9 * flops);
  const Ledger ledger = load_ledger(c.output);
  EXPECT_NEAR(ledger.model_flops, flops, 1e-9 * flops);
  EXPECT_GE(ledger.training_seconds, counts["teacher_seconds"].get<double>());
  EXPECT_FALSE(ledger.data_sha256.empty());
  EXPECT_NE(error_of(c).find("--resume"), std::string::npos);
}

// The teacher may be the student; then this is rejection sampling.
TEST_F(DistillTest, ATeacherWithoutARightAnswerIsAnError) {
  DistillConfig c = config("rejection");
  c.teacher.model = c.model;
  EXPECT_NE(error_of(c).find("none of the teacher's 36 answers"), std::string::npos) << error_of(c);
  EXPECT_FALSE(fs::exists(fs::path(c.output) / "samples.jsonl"));
}

TEST_F(DistillTest, SamplingAndTrainingResumeToTheSameBits) {
  DistillConfig whole = config("whole");
  whole.checkpoint = {2, 1000};
  run_distill(whole, false);
  const std::vector<Json> answers = lines_of(whole, "teacher.jsonl");

  // Killed while the teacher answered: 9 answers are there, and half a line.
  DistillConfig c = config("cut");
  c.checkpoint = whole.checkpoint;
  fs::create_directories(c.output);
  std::string text;
  for (size_t i = 0; i < 10; ++i) text += answers[i].dump() + "\n";
  write_file(fs::path(c.output) / "teacher.jsonl", text + answers[10].dump().substr(0, 20));
  run_distill(c, true);
  EXPECT_EQ(lines_of(c, "teacher.jsonl").size(), answers.size());
  EXPECT_EQ(samples_of(c), samples_of(whole));
  EXPECT_EQ(weights_of(c), weights_of(whole));

  // Killed in training: the teacher is not needed any more.
  const int64_t steps = read_metrics(fs::path(c.output) / "metrics.jsonl").back()["step"];
  for (int64_t step = 6; step <= steps; ++step) fs::remove_all(checkpoint_folder(c.output, step));
  EXPECT_EQ(find_checkpoint(c.output), checkpoint_folder(c.output, 4));
  const fs::path hidden = files->run("hidden");
  fs::rename(c.teacher.model, hidden);
  run_distill(c, true);
  fs::rename(hidden, c.teacher.model);
  EXPECT_EQ(weights_of(c), weights_of(whole));
  const auto told = [](const DistillConfig& of) {
    std::vector<Json> lines = read_metrics(fs::path(of.output) / "metrics.jsonl");
    for (Json& line : lines)
      for (const char* varies : {"cost", "evaluation_seconds", "teacher_seconds"})
        line.erase(varies);
    return lines;
  };
  EXPECT_EQ(told(c), told(whole));

  c.samples.temperature = 0.5;
  EXPECT_NE(error_of(c, true).find("other settings"), std::string::npos);
}

TEST_F(DistillTest, ReasoningIsAPartOfMessages) {
  DistillConfig c = config("messages");
  c.teacher.answer_prefix = "<think>x</think>\n";
  c.rollout.chat = true;  // the template of the tokens that the tokenizer has
  c.rollout.prompt_template = "What is {}";
  // The teacher was not taught to go on from there: what it says is put into its mouth.
  fs::create_directories(c.output);
  error_of(c);
  std::vector<Json> answers = lines_of(c, "teacher.jsonl");
  std::string text;
  for (Json& line : answers) {
    if (line.contains("text")) {
      line["text"] = "<think>x</think>\n2";
      line["correct"] = line["problem"] == 0;
      line["truncated"] = false;
    }
    text += line.dump() + "\n";
  }
  write_file(fs::path(c.output) / "teacher.jsonl", text);
  const SampleCounts counts = sample_teacher(c, [](const SampleCounts&) {});
  EXPECT_EQ(counts.kept, 1);
  EXPECT_EQ(counts.duplicates, 5);
  EXPECT_EQ(counts.solved, 1);
  const Json line = lines_of(c, "samples.jsonl").at(0);
  EXPECT_EQ(line["messages"][0], Json::parse(R"({"role": "user", "content": "What is 1+1="})"));
  EXPECT_EQ(line["messages"][1]["content"], "2");
  EXPECT_EQ(line["messages"][1]["reasoning_content"], "x");
  EXPECT_EQ(error_of(c, true), "");

  // A prompt that opens the thinking has begun the completion.
  c.rollout.chat = false;
  c.rollout.prompt_template = "{}<think>";
  sample_teacher(c, [](const SampleCounts&) {});
  EXPECT_EQ(lines_of(c, "samples.jsonl").at(0)["prompt"], "1+1=<think>");
  EXPECT_EQ(lines_of(c, "samples.jsonl").at(0)["completion"], "x</think>\n2");

  text.insert(text.find('\n') + 1, "{\"problem\": 0}\n");
  write_file(fs::path(c.output) / "teacher.jsonl", text);
  const std::string error = error_of(c, true);
  EXPECT_NE(error.find("teacher.jsonl:2 is damaged"), std::string::npos) << error;
}

TEST_F(DistillTest, ALedgerThatWasNotFinishedIsWhenTheRunIs) {
  DistillConfig c = config("ledger");
  c.sft.epochs = 1;
  run_distill(c, false);
  Ledger ledger = load_ledger(c.output);
  EXPECT_TRUE(std::exchange(ledger.finished, false));
  write_file(fs::path(c.output) / "ledger.json", write_ledger(ledger));
  run_distill(c, true);
  EXPECT_TRUE(load_ledger(c.output).finished);
}

// A server that answers as it is told, a request at a time.
class FakeServer {
 public:
  using Answer =
      std::function<void(int64_t number, const Json& asked, httplib::Response& response)>;
  explicit FakeServer(Answer answer) {
    for (const char* path : {"/v1/completions", "/v1/chat/completions"})
      server_.Post(path,
                   [this, answer](const httplib::Request& request, httplib::Response& response) {
                     const std::lock_guard lock(mutex_);
                     authorization = request.get_header_value("Authorization");
                     answer(requests++, Json::parse(request.body), response);
                   });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ~FakeServer() {
    server_.stop();
    thread_.join();
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}/v1", port_); }

  int64_t requests = 0;
  std::string authorization;

 private:
  std::mutex mutex_;
  httplib::Server server_;
  int port_;
  std::thread thread_;
};

void complete(const Json& asked, httplib::Response& response) {
  const int sum = std::stoi(asked["prompt"].get<std::string>()) + 1;
  const Json json = {{"choices", {{{"text", fmt::format("{}", sum)}, {"finish_reason", "stop"}}}},
                     {"usage", {{"prompt_tokens", 4}, {"completion_tokens", 2}}}};
  response.set_content(json.dump(), "application/json");
}

TEST_F(DistillTest, AServerMayRefuseForATimeAndTalkNonsense) {
  FakeServer server([](int64_t number, const Json& asked, httplib::Response& response) {
    if (number == 0) {
      response.status = 429;
      response.set_header("Retry-After", "1");
    } else if (number == 1) {
      response.status = 503;
    } else if (number == 2) {
      response.set_content("<html>", "text/html");
    } else if (number == 3) {
      response.set_content(R"({"choices": [{"text": 5}]})", "application/json");
    } else if (number == 4) {
      response.set_content(R"({"choices": [{"text": ""}]})", "application/json");
    } else if (number == 5) {
      response.set_content(R"({"choices": [{"text": "2", "finish_reason": "length"}]})",
                           "application/json");
    } else {
      complete(asked, response);
    }
  });
  DistillConfig c = config("served");
  c.teacher.model = "sage";
  c.teacher.url = server.url();
  c.teacher.api_key_env = "MINKE_TEST_KEY";
  c.teacher.parameters = 1e3;
  c.teacher.parallel = 2;
  ::setenv("MINKE_TEST_KEY", "not-to-be-written", 1);
  run_distill(c, false);
  EXPECT_EQ(server.authorization, "Bearer not-to-be-written");
  EXPECT_EQ(server.requests, 38);  // two of them a second time
  const Json counts = read_metrics(fs::path(c.output) / "metrics.jsonl")[0];
  EXPECT_EQ(counts["sampled"], 36);
  EXPECT_EQ(counts["unusable"], 3);
  EXPECT_EQ(counts["truncated"], 1);
  EXPECT_EQ(counts["right"], 32);
  EXPECT_EQ(counts["kept"], 6);
  EXPECT_EQ(counts["teacher_flops"], 32 * 6 * 2e3);
  for (const auto& entry : fs::recursive_directory_iterator(c.output)) {
    if (!entry.is_regular_file()) continue;
    EXPECT_EQ(read_file(entry.path()).find("not-to-be-written"), std::string::npos) << entry.path();
  }
  ::unsetenv("MINKE_TEST_KEY");
}

TEST_F(DistillTest, AServerThatFailsLeavesWhatItHasAnswered) {
  bool broken = true;
  FakeServer server([&](int64_t number, const Json& asked, httplib::Response& response) {
    if (broken && number >= 10) {
      response.status = 400;
      response.set_content(R"({"error": {"message": "no such model"}})", "application/json");
    } else {
      complete(asked, response);
    }
  });
  DistillConfig c = config("broken");
  c.teacher.model = "sage";
  c.teacher.url = server.url();
  c.teacher.parallel = 1;
  EXPECT_NE(error_of(c).find("status 400: no such model"), std::string::npos);
  EXPECT_EQ(lines_of(c, "teacher.jsonl").size(), 11u);
  broken = false;
  const int64_t before = server.requests;
  EXPECT_EQ(error_of(c, true), "");
  EXPECT_EQ(server.requests - before, 26);

  DistillConfig nowhere = config("nowhere");
  nowhere.teacher.url = "http://127.0.0.1:1/v1";
  nowhere.teacher.attempts = 2;
  EXPECT_NE(error_of(nowhere).find("after 2 attempts"), std::string::npos);
  nowhere.teacher.api_key_env = "MINKE_NO_SUCH_KEY";
  EXPECT_NE(error_of(nowhere, true).find("MINKE_NO_SUCH_KEY"), std::string::npos);
}

TEST_F(DistillTest, ChatServersGetMessagesAndMayThink) {
  Json last;
  FakeServer server([&](int64_t, const Json& asked, httplib::Response& response) {
    last = asked;
    const int sum = std::stoi(asked["messages"][0]["content"].get<std::string>()) + 1;
    const Json message = {{"role", "assistant"},
                          {"content", fmt::format("{}", sum)},
                          {"reasoning_content", "carry nothing"}};
    response.set_content(Json{{"id", "a"},
                              {"model", "sage"},
                              {"choices", {{{"message", message}, {"finish_reason", "stop"}}}}}
                             .dump(),
                         "application/json");
  });
  DistillConfig c = config("chat-served");
  c.teacher.model = "sage";
  c.teacher.url = server.url();
  c.teacher.chat = true;
  c.teacher.answer_prefix = "<think>\n";
  const SampleCounts counts = sample_teacher(c, [](const SampleCounts&) {});
  EXPECT_EQ(counts.right, 36);
  EXPECT_EQ(last["model"], "sage");
  EXPECT_EQ(last["messages"][1]["prefix"], true);
  EXPECT_EQ(last["max_tokens"], 6);
  EXPECT_EQ(lines_of(c, "samples.jsonl")[0]["completion"], "<think>\ncarry nothing</think>2");
}

TEST_F(DistillTest, OnPolicyTheStudentComesCloserToItsTeacher) {
  DistillConfig c = config("on-policy");
  c.method = DistillMethod::on_policy;
  // A teacher with the student's tokenizer and another architecture.
  const fs::path teacher = files->run("same-tokens");
  fs::create_directories(teacher);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy(files->model() / name, teacher / name, fs::copy_options::overwrite_existing);
  ModelConfig larger = ModelSource::open(files->run("untaught")).config();
  larger.vocab_size = tiny_config().vocab_size;
  larger.num_hidden_layers = 3;
  resolve_model_config(larger);
  Arena arena(1 << 22);
  const Weights weights(larger, arena, false);
  initialize_weights(weights, 0.4, 9);
  save_weights(teacher, larger, weights, DType::f32);
  c.teacher.model = teacher;
  c.on_policy.steps = 30;
  c.on_policy.temperature = 0.9;
  c.checkpoint = {10, 10};
  run_distill(c, false);
  std::vector<double> losses;
  double flops = 0, teacher_flops = 0;
  const std::vector<Json> metrics = read_metrics(fs::path(c.output) / "metrics.jsonl");
  for (const Json& line : metrics)
    if (line.contains("loss")) {
      losses.push_back(line["loss"]);
      flops += line["flops"].get<double>();
      teacher_flops += line["teacher_flops"].get<double>();
      EXPECT_LT(line["teacher_flops"].get<double>(), line["flops"].get<double>());
    }
  ASSERT_EQ(losses.size(), 30u);
  EXPECT_LT(losses.back(), 0.85 * losses.front());  // 2.4 of 3.2 nats
  EXPECT_NEAR(metrics.back()["flops"], flops, 1e-9 * flops);
  EXPECT_NEAR(metrics.back()["teacher_flops"], teacher_flops, 1e-9 * teacher_flops);

  const std::string end = weights_of(c);
  for (const int64_t step : {20, 30}) fs::remove_all(checkpoint_folder(c.output, step));
  run_distill(c, true);
  EXPECT_EQ(weights_of(c), end);
  EXPECT_NEAR(read_metrics(fs::path(c.output) / "metrics.jsonl").back()["teacher_flops"],
              teacher_flops, 1e-9 * teacher_flops);
}

TEST_F(DistillTest, OnPolicyTheOwnTeacherHasNothingToSay) {
  DistillConfig c = config("itself");
  c.method = DistillMethod::on_policy;
  c.teacher.model = c.model;
  const auto group = make_local_group();
  OnPolicyTrainer trainer(c, *group, false);
  EXPECT_LT(std::abs(trainer.step().loss), 1e-5);
}

TEST_F(DistillTest, OnPolicyNeedsTheSameTokens) {
  DistillConfig c = config("foreign");
  c.method = DistillMethod::on_policy;
  const std::string error = error_of(c);
  EXPECT_NE(error.find("method = \"samples\" takes any tokenizer"), std::string::npos) << error;
}

}  // namespace
}  // namespace minke
