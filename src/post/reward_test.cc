#include "post/reward.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(reward->stats().judged, 4);
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

}  // namespace
}  // namespace minke
