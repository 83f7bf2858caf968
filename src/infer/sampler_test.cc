#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.h"

namespace minke {
namespace {

TEST(Sampler, GreedyTakesTheMostLikelyAndTheLowerIdOnTies) {
  Random random(1);
  const std::vector<float> logits = {0, 3, 3, 1};
  EXPECT_EQ(sample_token(logits, {0.0, 1.0, 0}, random), 1);
  EXPECT_EQ(random.counter(), 0u);
}

TEST(Sampler, FrequenciesFollowTheProbabilities) {
  Random random(2);
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  std::vector<int> counts(3);
  for (int i = 0; i < 20000; ++i) ++counts[sample_token(logits, {1.0, 1.0, 0}, random)];
  EXPECT_NEAR(counts[0] / 20000.0, 0.5, 0.02);
  EXPECT_NEAR(counts[1] / 20000.0, 0.3, 0.02);
}

TEST(Sampler, TopPLeavesTheUnlikelyOut) {
  Random random(3);
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  for (int i = 0; i < 1000; ++i) EXPECT_NE(sample_token(logits, {1.0, 0.75, 0}, random), 2);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sample_token(logits, {1.0, 0.0, 0}, random), 0);
}

TEST(Sampler, NotANumberIsAnError) {
  Random random(4);
  const std::vector<float> logits = {0.0f, NAN};
  EXPECT_THROW(sample_token(logits, {1.0, 1.0, 0}, random), Error);
}

}  // namespace
}  // namespace minke
