#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.h"

namespace minke {
namespace {

const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};

SamplingOptions plain() {
  SamplingOptions options;
  options.temperature = 1;
  options.top_p = 1;
  return options;
}

// How often each token comes at `count` positions.
std::vector<double> frequencies(const SamplingOptions& options, int count,
                                const TokenMask* mask = nullptr) {
  Sampler sampler(options, {}, static_cast<int64_t>(logits.size()));
  std::vector<double> counts(logits.size());
  for (int i = 0; i < count; ++i) ++counts[sampler.choose(logits, i, mask)];
  for (double& n : counts) n /= count;
  return counts;
}

TEST(Sampler, GreedyTakesTheMostLikelyAndTheLowerIdOnTies) {
  SamplingOptions options;
  options.temperature = 0;
  Sampler sampler(options, {}, 3);
  EXPECT_EQ(sampler.choose(std::vector<float>{0, 3, 3, 9}, 0, nullptr), 1);  // id 3 is padding
}

TEST(Sampler, FrequenciesFollowTheProbabilities) {
  const auto counts = frequencies(plain(), 20000);
  EXPECT_NEAR(counts[0], 0.5, 0.02);
  EXPECT_NEAR(counts[1], 0.3, 0.02);
}

TEST(Sampler, TopPTopKAndMinPLeaveTheUnlikelyOut) {
  SamplingOptions options = plain();
  options.top_p = 0.75;
  EXPECT_EQ(frequencies(options, 1000)[2], 0);
  EXPECT_GT(frequencies(options, 1000)[1], 0);
  options.top_p = 0;
  EXPECT_EQ(frequencies(options, 100)[0], 1);
  options = plain();
  options.top_k = 1;
  EXPECT_EQ(frequencies(options, 100)[0], 1);
  options = plain();
  options.min_p = 0.5;
  EXPECT_GT(frequencies(options, 1000)[1], 0);
  EXPECT_EQ(frequencies(options, 1000)[2], 0);
}

// Many tokens of nearly equal weight: the order is made in pieces.
TEST(Sampler, TopPOfALargeVocabulary) {
  std::vector<float> many(5000);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(i) * 1e-4f;
  SamplingOptions options = plain();
  options.top_p = 0.5;
  Sampler sampler(options, {}, 5000);
  int32_t lowest = 5000;
  for (int i = 0; i < 300; ++i) lowest = std::min(lowest, sampler.choose(many, i, nullptr));
  EXPECT_GT(lowest, 2500);
  EXPECT_LT(lowest, 3000);
}

TEST(Sampler, APositionGivesTheSameTokenHoweverOftenItIsAsked) {
  Sampler sampler(plain(), {}, 3);
  const int32_t first = sampler.choose(logits, 7, nullptr);
  for (int i = 0; i < 20; ++i) sampler.choose(logits, i, nullptr);
  EXPECT_EQ(sampler.choose(logits, 7, nullptr), first);
}

TEST(Sampler, MaskBiasAndPenaltiesChangeTheChoice) {
  const TokenMask mask = {0b100};
  EXPECT_EQ(frequencies(plain(), 100, &mask)[2], 1);
  SamplingOptions options;
  options.temperature = 0;
  options.logit_bias = {{2, 5.0}};
  EXPECT_EQ(frequencies(options, 10)[2], 1);

  options.logit_bias.clear();
  options.presence_penalty = 1;
  Sampler presence(options, {}, 3);
  presence.accept(0);
  EXPECT_EQ(presence.choose(logits, 1, nullptr), 1);

  options.presence_penalty = 0;
  options.repetition_penalty = 3;
  const std::vector<int32_t> prompt = {0};
  Sampler repetition(options, prompt, 3);
  EXPECT_EQ(repetition.choose(logits, 0, nullptr), 1);
}

TEST(Sampler, TokensBeyondTheVocabularyCountForNoPenalty) {
  SamplingOptions options = plain();
  options.temperature = 0;
  options.repetition_penalty = 2;
  const std::vector<int32_t> prompt = {1, 1 << 30};
  Sampler sampler(options, prompt, 2);
  EXPECT_EQ(sampler.choose(std::vector<float>{2, 3}, 0, nullptr), 0);
}

TEST(Sampler, WhatCannotBeIsAnError) {
  Sampler sampler(plain(), {}, 2);
  for (const float no_number : {NAN, INFINITY, -INFINITY})
    EXPECT_THROW(sampler.choose(std::vector<float>{0.0f, no_number}, 0, nullptr), Error);
  const TokenMask none = {0};
  EXPECT_THROW(sampler.choose(std::vector<float>{0, 0}, 0, &none), Error);
  SamplingOptions options;
  options.top_p = 2;
  EXPECT_THROW(Sampler(options, {}, 3), Error);
  options = {};
  options.logit_bias = {{3, 1.0}};
  EXPECT_THROW(Sampler(options, {}, 3), Error);
}

TEST(LogProbabilities, AreThoseOfTheSoftmax) {
  const LogProbabilities got = log_probabilities(logits, 1, 2);
  EXPECT_NEAR(got.chosen, std::log(0.3), 1e-6);
  ASSERT_EQ(got.top.size(), 2u);
  EXPECT_EQ(got.top[0].token, 0);
  EXPECT_NEAR(got.top[1].log_probability, std::log(0.3), 1e-6);
}

}  // namespace
}  // namespace minke
