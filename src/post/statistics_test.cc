#include "post/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace minke {
namespace {

TEST(Statistics, PassAtKCountsSubsets) {
  EXPECT_DOUBLE_EQ(pass_at_k(4, 1, 1), 0.25);
  EXPECT_DOUBLE_EQ(pass_at_k(4, 1, 2), 0.5);           // 3 of 6 pairs
  EXPECT_DOUBLE_EQ(pass_at_k(5, 2, 3), 1 - 1.0 / 10);  // one triple of the three wrong ones
  EXPECT_DOUBLE_EQ(pass_at_k(5, 0, 5), 0);
  EXPECT_DOUBLE_EQ(pass_at_k(5, 1, 5), 1);
}

TEST(Statistics, TheBootstrapIsAsWideAsTheory) {
  std::vector<double> values(400, 0.0);
  std::fill(values.begin(), values.begin() + 100, 1.0);
  const Interval interval = bootstrap_mean(values, 2000, 1);
  const double expected = 1.96 * std::sqrt(0.25 * 0.75 / 400);
  EXPECT_NEAR(interval.low, 0.25 - expected, 0.01);
  EXPECT_NEAR(interval.high, 0.25 + expected, 0.01);
}

TEST(Statistics, TheMajorityIsByValue) {
  const std::vector<std::string> answers = {"3", "1/2", "", "0.5", "", ""};
  EXPECT_EQ(majority_vote(answers), 1);
  EXPECT_EQ(majority_vote(std::vector<std::string>{"", ""}), -1);
}

}  // namespace
}  // namespace minke
