#include "post/reward.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "post/answer.h"

namespace minke {
namespace {

Problem numeric_problem(const std::string& answer) {
  Problem problem;
  problem.check = ProblemCheck::numeric;
  problem.answer = answer;
  return problem;
}

TEST(Reward, JudgesTheAnswerAfterTheThinking) {
  RewardConfig config;
  config.format = FormatRule::think;
  config.format_weight = 0.5;
  const auto reward = make_reward(config);
  const Problem problem = numeric_problem("341");
  const Verdict right = reward->judge(problem, {"<think>8+3=11 ...</think>341"});
  EXPECT_TRUE(right.correct);
  EXPECT_TRUE(right.formatted);
  EXPECT_DOUBLE_EQ(right.reward, 1.5);
  EXPECT_DOUBLE_EQ(reward->judge(problem, {"0341\n"}).reward, 1.0);
  EXPECT_DOUBLE_EQ(reward->judge(problem, {"<think>x</think>342"}).reward, 0.5);
  EXPECT_DOUBLE_EQ(reward->judge(problem, {"<think>341"}).reward, 0.0);
}

TEST(Reward, LongResponsesAreShapedAsInDapo) {
  RewardConfig config;
  config.overlong_weight = 1;
  config.overlong_max = 100;
  config.overlong_cache = 20;
  const auto reward = make_reward(config);
  const Problem problem = numeric_problem("1");
  EXPECT_DOUBLE_EQ(reward->judge(problem, {"1", 80}).reward, 1.0);
  EXPECT_DOUBLE_EQ(reward->judge(problem, {"1", 90}).reward, 0.5);
  EXPECT_DOUBLE_EQ(reward->judge(problem, {"1", 100}).reward, 0.0);
  EXPECT_DOUBLE_EQ(reward->judge(problem, {"1", 500}).reward, 0.0);
}

RewardConfig command_config(const std::string& command) {
  RewardConfig config;
  config.check = AnswerCheck::command;
  config.command = command;
  config.command_seconds = 2;
  return config;
}

TEST(Reward, ACommandJudges) {
  const auto reward = make_reward(
      command_config("while read -r line; do echo '{\"reward\": 0.25, \"correct\": true}'; done"));
  for (int i = 0; i < 3; ++i) {
    const Verdict verdict = reward->judge(numeric_problem("1"), std::string(100000, 'x'));
    EXPECT_TRUE(verdict.correct) << verdict.note;
    EXPECT_DOUBLE_EQ(verdict.reward, 0.25);
  }
  EXPECT_FALSE(reward->repeatable());
  RewardConfig numeric;
  numeric.check = AnswerCheck::numeric;
  EXPECT_TRUE(make_reward(numeric)->repeatable());
}

TEST(Reward, ACommandThatFailsIsCountedOrStops) {
  const fs::path log = fs::temp_directory_path() / fmt::format("minke-reward-{}.jsonl", getpid());
  int64_t failures = 0;
  for (const char* command : {"exit 1", "echo garbage; sleep 5", "sleep 60",
                              "read -r x; echo '{\"reward\": \"high\"}'; sleep 5"}) {
    RewardConfig config = command_config(command);
    config.command_seconds = 0.3;
    config.failure_log = log;
    const auto reward = make_reward(config);
    for (int i = 0; i < 2; ++i, ++failures) {
      const Verdict verdict = reward->judge(numeric_problem("1"), "1");
      EXPECT_TRUE(verdict.failed) << command;
      EXPECT_EQ(verdict.reward, 0);
    }
    config.on_failure = FailureAction::stop;
    EXPECT_THROW(make_reward(config)->judge(numeric_problem("1"), "1"), Error);
  }
  const std::string text = read_file(log);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), failures);
  fs::remove(log);
}

TEST(Reward, WhatCannotBeIsSaidAtOnce) {
  EXPECT_THROW(make_reward(command_config("")), Error);
  RewardConfig config;
  config.language_weight = 1;
  config.language = "xx";
  EXPECT_THROW(make_reward(config), Error);
}

TEST(Reward, CodeIsFoundBetweenItsFences) {
  EXPECT_EQ(find_code("text\n```python\nx = 1\n```\nmore"), "x = 1\n");
  EXPECT_EQ(find_code("```\na\n```\n```\nb\n```"), "b\n");
  EXPECT_EQ(find_code("```python\nx"), "x");
  EXPECT_EQ(find_code("x = 1"), "x = 1");
  EXPECT_EQ(find_code("```"), "");
}

}  // namespace
}  // namespace minke
