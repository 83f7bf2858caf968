#include "post/eval.h"

#include <gtest/gtest.h>

#include "text/bpe_trainer.h"

namespace minke {
namespace {

ModelConfig small_config() {
  ModelConfig config = model_defaults(ModelType::llama);
  config.vocab_size = 288;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 1;
  config.num_attention_heads = config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 128;
  return config;
}

// A model with random weights, which answers anything.
struct Fixture {
  Fixture() {
    options.samples = 4;
    options.max_tokens = 8;
    BpeTrainer trainer({.vocab_size = 288});
    trainer.add("0 1 2 3 4 5 6 7 8 9 + = the whale and the sea and the whale");
    tokenizer = std::make_unique<Tokenizer>(trainer.train());
    const ModelConfig config = small_config();
    Arena counting = Arena::counting();
    const Weights planned(config, counting, false);
    arena = Arena(counting.used());
    weights = std::make_unique<Weights>(config, arena, false);
    initialize_weights(*weights, 0.15, 5);
    source = std::make_unique<FlatSource>(*weights);
    LoadOptions load;
    load.cache_tokens = 2048;
    load.quiet = true;
    model = std::make_unique<LoadedModel>(config, *source, load);
  }

  EvalResult run(int64_t parallel) {
    EngineOptions engine_options;
    engine_options.max_sequences = parallel;
    Engine engine(*model, *tokenizer, engine_options);
    const std::vector<Problem> problems = distinct_problems(*make_task({}), TaskSplit::test, 5);
    const auto reward = make_reward({});
    return evaluate(engine, *tokenizer, nullptr, problems, *reward, options);
  }

  EvalOptions options;
  std::unique_ptr<Tokenizer> tokenizer;
  Arena arena = Arena::counting();
  std::unique_ptr<Weights> weights;
  std::unique_ptr<FlatSource> source;
  std::unique_ptr<LoadedModel> model;
};

TEST(Evaluate, AnswersDependOnTheSeedAndNotOnWhatElseRuns) {
  Fixture fixture;
  const auto text = [&](int64_t parallel) {
    return to_json(fixture.run(parallel), fixture.options, true).dump();
  };
  const std::string first = text(1);
  EXPECT_EQ(first, text(16));
  fixture.options.sampling.seed = 1;
  EXPECT_NE(first, text(16));
}

TEST(Evaluate, KeepsEverythingThatACheckNeeds) {
  Fixture fixture;
  fixture.options.stop = {"!"};
  const EvalResult result = fixture.run(8);
  const nlohmann::ordered_json json = to_json(result, fixture.options, true);
  EXPECT_EQ(json.at("problems"), 5);
  EXPECT_EQ(json.at("results").size(), 5u);
  EXPECT_EQ(json.at("results")[0].at("samples").size(), 4u);
  EXPECT_TRUE(json.contains("pass_at_4"));
  EXPECT_NE(json.at("results")[0].at("samples")[0].at("text"),
            json.at("results")[0].at("samples")[1].at("text"));
  EXPECT_FALSE(to_json(result, fixture.options, false).contains("results"));
  EXPECT_EQ(json.at("sampling").at("stop"), nlohmann::json::array({"!"}));
  EXPECT_TRUE(json.at("results")[0].at("put").get<std::string>().ends_with(
      result.problems[0].problem.prompt));
  EXPECT_EQ(json.at("results")[0].at("details"), result.problems[0].problem.details);
}

TEST(Evaluate, FiguresFollowFromTheVerdicts) {
  EvalResult result;
  for (const int64_t right : {0, 1, 2, 4}) {
    EvalProblem entry{{}, "", std::vector<EvalSample>(4)};
    for (int64_t i = 0; i < 4; ++i) {
      entry.samples[static_cast<size_t>(i)].verdict.correct = i < right;
      entry.samples[static_cast<size_t>(i)].verdict.answer =
          i < right ? "right" : std::to_string(i);
    }
    result.problems.push_back(entry);
  }
  EXPECT_DOUBLE_EQ(result.pass_at_1(), 7.0 / 16);
  EXPECT_DOUBLE_EQ(result.pass_at(4), 0.75);
  EXPECT_DOUBLE_EQ(result.majority(),
                   0.75);  // of one right and three that differ, the first counts
}

TEST(Evaluate, R1ZerosPromptBeginsTheThinking) {
  const Fixture fixture;
  Problem problem;
  problem.prompt = "1+1=";
  const Prompt prompt = make_prompt(problem, PromptStyle::r1_zero, *fixture.tokenizer, nullptr);
  EXPECT_EQ(prompt.prefix, "<think>");
  EXPECT_TRUE(fixture.tokenizer->decode(prompt.tokens).ends_with("Assistant: <think>"));
}

}  // namespace
}  // namespace minke
