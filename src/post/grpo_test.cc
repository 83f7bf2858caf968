#include "post/grpo.h"

#include <gtest/gtest.h>

#include "base/threads.h"
#include "ledger/ledger.h"
#include "post/grpo_run.h"
#include "post/tiny_model.h"

namespace minke {
namespace {

// Always the same problem.
class OneProblem : public Task {
 public:
  std::string_view name() const override { return "one"; }
  Problem problem(TaskSplit split, uint64_t index) const override {
    Problem problem;
    problem.task = "one";
    problem.id = fmt::format("one/{}", index);
    problem.prompt = "the whale";
    problem.key = split == TaskSplit::test ? "test" : "train";
    return problem;
  }
  std::optional<uint64_t> size(TaskSplit) const override { return 1; }
};

// A bandit with a known optimum: text that begins with a lower-case letter is worth 1, with a digit
// 0.2, other text nothing.
class Letters : public Reward {
 public:
  Verdict judge(const Problem&, const Response& response) override {
    const char first = response.text.empty() ? ' ' : response.text[0];
    Verdict verdict;
    verdict.correct = first >= 'a' && first <= 'z';
    verdict.reward = verdict.correct ? 1.0 : first >= '0' && first <= '9' ? 0.2 : 0.0;
    return verdict;
  }
  bool repeatable() const override { return true; }
};

// A judge that never says the same twice, like a test with a time limit on a busy machine.
class Moody : public Reward {
 public:
  explicit Moody(uint64_t mood) : random_(mood) {}
  Verdict judge(const Problem&, const Response&) override {
    Verdict verdict;
    verdict.reward = random_.uniform();
    return verdict;
  }
  bool repeatable() const override { return false; }

 private:
  Random random_;
};

class Indifferent : public Letters {
 public:
  Verdict judge(const Problem&, const Response&) override {
    Verdict verdict;
    verdict.reward = 0.5;
    return verdict;
  }
};

GrpoConfig config_of(const TinyModel& files, const std::string& run) {
  GrpoConfig config;
  config.model = files.model();
  config.output = files.run(run);
  config.steps = 6;
  config.rollout.prompts = 4;
  config.rollout.group = 8;
  config.rollout.max_prompt_tokens = 16;
  config.rollout.max_tokens = 6;
  config.rollout.sequences = 32;
  config.update.micro_batch_tokens = 128;
  config.optimizer.learning_rate = 1e-3;
  config.optimizer.weight_decay = 0;
  config.evaluation.problems = 1;
  return config;
}

template <typename R>
std::unique_ptr<GrpoTrainer> make_trainer(const GrpoConfig& config, bool resuming, R reward) {
  static const auto group = make_local_group();
  return std::make_unique<GrpoTrainer>(config, std::make_unique<OneProblem>(),
                                       std::make_unique<R>(std::move(reward)), *group, resuming);
}

std::vector<float> weights_of(const GrpoTrainer& trainer) {
  const Tensor& flat = trainer.model().weights().flat_weights();
  return {flat.as<float>(), flat.as<float>() + flat.size()};
}

// With exact rollouts, so that every step also compares the bits of all log-probabilities.
TEST(Grpo, ABanditWithAKnownOptimumConverges) {
  for (const LossNormalization normalization :
       {LossNormalization::sequence, LossNormalization::token, LossNormalization::constant}) {
    const TinyModel files("bandit");
    GrpoConfig config = config_of(files, "run");
    config.rollout.max_tokens = 1;
    config.rollout.group = 16;
    config.loss.normalization = normalization;
    config.loss.advantage_scale = normalization == LossNormalization::constant
                                      ? AdvantageScale::none
                                      : AdvantageScale::deviation;
    config.optimizer.learning_rate = 1e-2;
    config.steps = 40;
    const auto trainer = make_trainer(config, false, Letters());
    const double before = trainer->step().answers.reward;
    EXPECT_LT(before, 0.4);
    GrpoStepReport report;
    while (!trainer->done()) report = trainer->step();
    EXPECT_GT(report.answers.reward, 0.95);
    EXPECT_EQ(trainer->evaluate().greedy.pass_at_1, 1.0);
    EXPECT_LT(report.answers.entropy, 4.0);
  }
}

TEST(Grpo, EqualRewardsChangeNoWeight) {
  const TinyModel files("equal");
  const auto trainer = make_trainer(config_of(files, "run"), false, Indifferent());
  const auto before = weights_of(*trainer);
  const GrpoStepReport report = trainer->step();
  EXPECT_EQ(report.varying_groups, 0);
  EXPECT_EQ(report.updates, 0);
  EXPECT_EQ(weights_of(*trainer), before);
}

// Everything that has a state: verdicts that vary, a reference that is replaced, several updates a
// step, corrected rollouts.
TEST(Grpo, AKilledRunResumesToTheSameWeights) {
  const TinyModel files("resume");
  GrpoConfig config = config_of(files, "whole");
  config.loss.kl_coefficient = 0.05;
  config.loss.reference_every_steps = 3;
  config.loss.off_policy_threshold = 0.01;
  config.update.minibatches = 3;
  config.update.epochs = 2;
  config.rollout.mode = RolloutMode::fast;
  config.rollout.temperature = 0.9;
  const auto whole = make_trainer(config, false, Moody(1));
  double kl = 0;
  while (!whole->done()) kl = whole->step().kl;
  EXPECT_GT(kl, 0.0);

  // Killed after its last verdicts, with the checkpoint of the fourth step as its newest. The judge
  // would say otherwise now, so what comes out the same comes from the journal.
  config.output = files.run("killed");
  {
    const auto first = make_trainer(config, false, Moody(1));
    for (int i = 0; i < 6; ++i) {
      first->step();
      if (i == 3) first->save();
    }
  }
  const auto second = make_trainer(config, true, Moody(2));
  second->resume(*find_checkpoint(config.output));
  EXPECT_EQ(second->position().step, 4);
  while (!second->done()) second->step();
  EXPECT_EQ(weights_of(*second), weights_of(*whole));
}

// A run that is stopped after three steps and resumed ends with the weights of the whole one.
void expect_same_when_resumed(const TinyModel& files, GrpoConfig config, const GrpoTrainer& whole) {
  config.output = files.run("stopped");
  const auto first = make_trainer(config, false, Letters());
  for (int i = 0; i < 3; ++i) first->step();
  first->save();
  const auto second = make_trainer(config, true, Letters());
  second->resume(*find_checkpoint(config.output));
  while (!second->done()) second->step();
  EXPECT_EQ(weights_of(*second), weights_of(whole));
}

TEST(Grpo, ExactRunsResumeBitForBit) {
  const TinyModel files("exact");
  GrpoConfig config = config_of(files, "whole");
  config.update.minibatches = 2;
  config.loss.kl_coefficient = 0.01;
  const auto whole = make_trainer(config, false, Letters());
  while (!whole->done()) whole->step();
  expect_same_when_resumed(files, config, *whole);
}

// Exact rollouts have the bits of the merged model in training: a difference would end the run.
TEST(Grpo, AdaptersLearnFromExactAndQuantizedRolloutsAndResume) {
  for (const auto quantization : {RolloutQuantization::none, RolloutQuantization::q8_0}) {
    const TinyModel files("lora", 0.5);  // a frozen head that can tell tokens apart
    GrpoConfig config = config_of(files, "whole");
    config.lora.rank = 4;
    config.rollout.max_tokens = 1;
    config.rollout.group = 16;
    config.rollout.quantization = quantization;
    if (quantization != RolloutQuantization::none) config.rollout.mode = RolloutMode::fast;
    config.loss.kl_coefficient = 0.001;
    config.optimizer.learning_rate = 2e-2;
    config.steps = 40;
    const auto whole = make_trainer(config, false, Letters());
    EXPECT_LT(whole->step().answers.reward, 0.4);
    GrpoStepReport report;
    while (!whole->done()) report = whole->step();
    EXPECT_GT(report.answers.reward, 0.95);
    expect_same_when_resumed(files, config, *whole);
  }
}

GrpoConfig quantized_config(const TinyModel& files, const std::string& run) {
  GrpoConfig config = config_of(files, run);
  config.rollout.mode = RolloutMode::fast;
  config.rollout.quantization = RolloutQuantization::q4_0;
  return config;
}

// π_old of a step's answers is the trainer's; the model on disk is the one of the first step.
TEST(Grpo, AnswersOfQuantizedWeightsAreScoredByTheTrainers) {
  const TinyModel files("quantized");
  const GrpoConfig config = quantized_config(files, "run");
  const GrpoStepReport report = make_trainer(config, false, Letters())->step();
  const ModelSource source = ModelSource::open(files.model());
  TrainableOptions options;
  options.model = source.config();
  options.compute = config.compute;
  options.tokens = options.max_positions = 64;
  const auto group = make_local_group();
  TrainableModel model(options, *group);
  model.load(source);
  double drift = 0, tokens = 0;
  for (const AnswerGroup& problem : report.samples)
    for (const auto& [answer, verdict, advantage] : problem.samples) {
      if (advantage == 0) continue;  // nothing is learned from it
      std::vector<int32_t> all = problem.prompt.tokens;
      all.insert(all.end(), answer.tokens.begin(), answer.tokens.end());
      const TrainingBatch batch{{static_cast<int64_t>(all.size()) - 1, all, {}}};
      const auto trained = model.log_probabilities(batch);
      for (int64_t t = 0; t < answer.size(); ++t)
        drift += std::abs(static_cast<double>(trained[problem.prompt.tokens.size() - 1 + t]) -
                          answer.log_probabilities[t]);
      tokens += static_cast<double>(answer.size());
    }
  EXPECT_EQ(report.drift, drift / tokens);
  EXPECT_GT(report.drift, 1e-3);
  EXPECT_LT(report.drift, 0.2);
  EXPECT_EQ(report.updates, 1);
  EXPECT_EQ(report.skipped_updates, 0);
  EXPECT_EQ(report.clip_fraction, 0);  // π is π_old before the first update
}

// The only update of a step measures π_old itself; a threshold that masks nothing has it scored.
TEST(Grpo, OneUpdateNeedsNoScoresOfFastAnswers) {
  const TinyModel files("one-update");
  const auto run = [&](const std::string& name, double threshold) {
    GrpoConfig config = quantized_config(files, name);
    config.loss.off_policy_threshold = threshold;
    auto trainer = make_trainer(config, false, Letters());
    const GrpoStepReport report = trainer->step();
    EXPECT_GT(report.drift, 0);
    EXPECT_EQ(report.scored_tokens > 0, threshold > 0);
    while (!trainer->done()) trainer->step();
    return weights_of(*trainer);
  };
  EXPECT_EQ(run("measured", 0), run("scored", 1e9));
}

// Where the weights are the same, so are the answers to held-out problems, whatever samples.
TEST(Grpo, HeldOutProblemsAreAnsweredByTheTrainersWeights) {
  const TinyModel files("tested");
  GrpoConfig config = quantized_config(files, "run");
  config.rollout.max_tokens = 40;
  const auto quantized = make_trainer(config, false, Letters());
  config.rollout.quantization = RolloutQuantization::none;
  const auto plain = make_trainer(config, true, Letters());
  EXPECT_EQ(quantized->evaluate().sampled.entropy, plain->evaluate().sampled.entropy);
  const double before = plain->evaluate().sampled.entropy;
  quantized->step();
  quantized->save();
  plain->resume(*find_checkpoint(config.output));
  const double after = quantized->evaluate().sampled.entropy;
  EXPECT_NE(after, before);
  EXPECT_EQ(after, plain->evaluate().sampled.entropy);
}

// Several updates a step, before each of which the trainer's weights score the answers.
TEST(Grpo, QuantizedRunsAreTheSameForAnyThreadsAndResumed) {
  const TinyModel files("threads");
  GrpoConfig config = quantized_config(files, "whole");
  config.loss.kl_coefficient = 0.01;
  config.loss.off_policy_threshold = 0.01;
  config.update.minibatches = 2;
  const auto run = [&](int threads) {
    set_thread_count(threads);
    auto trainer = make_trainer(config, false, Letters());
    while (!trainer->done()) trainer->step();
    return trainer;
  };
  const auto whole = run(1);
  EXPECT_EQ(weights_of(*run(3)), weights_of(*whole));
  set_thread_count(2);
  expect_same_when_resumed(files, config, *whole);
}

TEST(Grpo, PromptsAreTurnsOfTheChatTemplate) {
  const TinyModel files("chat");
  const Tokenizer tokenizer = Tokenizer::load(files.model());
  const ChatTemplate chat = ChatTemplate::detect("", tokenizer);
  ChatMessage message;
  message.role = "user";
  message.content = "Say: the whale";
  EXPECT_EQ(make_prompt("Say: the whale", tokenizer, &chat).tokens,
            chat.render(tokenizer, {&message, 1}, {}));
  EXPECT_EQ(tokenizer.decode(make_prompt("Say: the whale", tokenizer, nullptr).tokens),
            tokenizer.decode(tokenizer.encode("Say: the whale", {tokenizer.adds_bos()})));
  GrpoConfig config = config_of(files, "run");
  config.rollout.chat = true;
  config.steps = 1;
  const GrpoStepReport report = make_trainer(config, false, Letters())->step();
  EXPECT_EQ(report.samples[0].prompt.tokens,
            make_prompt(report.samples[0].problem.prompt, tokenizer, &chat).tokens);
}

// Wants a response that begins as R1's.
class Formed : public Letters {
 public:
  Verdict judge(const Problem&, const Response& response) override {
    Verdict verdict;
    verdict.formatted = response.text.starts_with("<think>");
    return verdict;
  }
};

TEST(Grpo, WhatThePromptHasBegunIsJudgedWithTheAnswer) {
  const TinyModel files("opened");
  GrpoConfig config = config_of(files, "run");
  config.rollout.prompt_template = "{}\n<think>\n";
  config.rollout.max_prompt_tokens = 32;
  const auto trainer = make_trainer(config, false, Formed());
  EXPECT_EQ(trainer->evaluate().sampled.formatted, 1);
  const GrpoStepReport report = trainer->step();
  EXPECT_EQ(report.answers.formatted, 1);
  EXPECT_TRUE(report.samples[0].samples[0].answer.text.starts_with("<think>"));
  config.rollout.prompt_template = "{}";
  EXPECT_EQ(make_trainer(config, false, Formed())->step().answers.formatted, 0);
}

TEST(Prompt, TheThinkingIsOpenedByTheTagAtTheEnd) {
  EXPECT_EQ(opened_thinking("1+1=<think>"), "<think>");
  EXPECT_EQ(opened_thinking("1+1=<think>\n "), "<think>");
  EXPECT_EQ(opened_thinking("<think>1+1="), "");
  EXPECT_EQ(opened_thinking(""), "");
}

// Prompts as given: those of a file.
class GivenPrompts : public Task {
 public:
  explicit GivenPrompts(std::vector<std::string> prompts) : prompts_(std::move(prompts)) {}
  std::string_view name() const override { return "given"; }
  Problem problem(TaskSplit, uint64_t index) const override {
    Problem problem;
    problem.id = fmt::format("given:{}", index);
    problem.key = problem.prompt = prompts_.at(index);
    return problem;
  }
  std::optional<uint64_t> size(TaskSplit) const override { return prompts_.size(); }

 private:
  std::vector<std::string> prompts_;
};

TEST(Grpo, PromptsAreCheckedBeforeTheRun) {
  const TinyModel files("lengths");
  GrpoConfig config = config_of(files, "run");
  config.evaluation.problems = 3;
  const auto group = make_local_group();
  const auto make = [&](const std::vector<std::string>& prompts) {
    return std::make_unique<GrpoTrainer>(config, std::make_unique<GivenPrompts>(prompts),
                                         std::make_unique<Letters>(), *group, false);
  };
  const std::string too_long(200, 'x');
  const auto trainer = make({"the whale", too_long, "the sea"});
  EXPECT_EQ(trainer->held_out().size(), 2u);
  const GrpoStepReport report = trainer->step();
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(report.samples[i].problem.prompt, i % 2 == 0 ? "the whale" : "the sea");
  EXPECT_THROW(make({too_long}), Error);
  EXPECT_THROW(make({}), Error);
  config.task.on_bad_sample = FailureAction::stop;
  EXPECT_THROW(make({"the whale", too_long}), Error);
  EXPECT_NO_THROW(make({"the whale"}));
}

// Groups of two short answers, drawn until they vary.
GrpoConfig dynamic_config(const TinyModel& files, int64_t max_tokens) {
  GrpoConfig config = config_of(files, "run");
  config.rollout.group = 2;
  config.rollout.max_tokens = max_tokens;
  config.rollout.dynamic_sampling = true;
  config.rollout.max_rounds = 50;
  return config;
}

// Every answer that is kept is read again by the reference, by the trainer's arithmetic after a
// fast rollout, and before a masked update.
TEST(Grpo, WhatIsReadAgainIsCounted) {
  const TinyModel files("scored");
  GrpoConfig config = dynamic_config(files, 2);
  EXPECT_EQ(make_trainer(config, false, Letters())->step().scored_tokens, 0);
  config.loss.kl_coefficient = 0.1;
  const GrpoStepReport one = make_trainer(config, false, Letters())->step();
  EXPECT_EQ(one.scored_tokens, one.trained_tokens);
  EXPECT_LT(one.scored_tokens, one.rollout_tokens);
  config.rollout.mode = RolloutMode::fast;
  config.loss.off_policy_threshold = 100;
  const GrpoStepReport three = make_trainer(config, false, Letters())->step();
  EXPECT_EQ(three.scored_tokens, 3 * three.trained_tokens);
}

TEST(Grpo, DynamicSamplingDrawsUntilGroupsVary) {
  const TinyModel files("dynamic");
  GrpoConfig config = dynamic_config(files, 1);
  const auto trainer = make_trainer(config, false, Letters());
  const GrpoStepReport report = trainer->step();
  EXPECT_EQ(report.varying_groups, 4);
  EXPECT_GT(report.groups, 4);
  EXPECT_EQ(trainer->position().sequences, report.groups);
}

TEST(Grpo, ALedgerThatWasNotFinishedIsWhenTheRunIs) {
  const TinyModel files("ledger");
  GrpoConfig config = config_of(files, "run");
  config.steps = 1;
  run_grpo(config, false);
  Ledger ledger = load_ledger(config.output);
  EXPECT_TRUE(std::exchange(ledger.finished, false));
  write_file(files.run("run") / "ledger.json", write_ledger(ledger));
  run_grpo(config, true);
  EXPECT_TRUE(load_ledger(config.output).finished);
}

TEST(VerdictJournal, KeepsWholeLinesOnly) {
  const TinyModel files("journal");
  const fs::path path = files.run("verdicts.jsonl");
  const Problem problem;
  Moody moody(1);
  Verdict first, second;
  {
    VerdictJournal journal(moody, path, false);
    first = journal.judge(1, problem, Response("a"));
    second = journal.judge(2, problem, Response("a"));
    EXPECT_NE(first.reward, second.reward);
  }
  fs::resize_file(path, fs::file_size(path) - 3);
  VerdictJournal journal(moody, path, true);
  EXPECT_EQ(journal.judge(1, problem, Response("a")).reward, first.reward);
  EXPECT_NE(journal.judge(2, problem, Response("a")).reward, second.reward);
  EXPECT_NE(journal.judge(1, problem, Response("b")).reward, first.reward);
}

}  // namespace
}  // namespace minke
