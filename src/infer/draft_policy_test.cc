#include "infer/draft_policy.h"

#include <gtest/gtest.h>

namespace minke {
namespace {

// Steps of 1 s without drafts and `with` s with them, which then give two tokens.
int64_t drafting_steps(DraftPolicy& policy, double with, int64_t steps) {
  int64_t count = 0;
  for (int64_t i = 0; i < steps; ++i) {
    count += policy.drafts();
    policy.record(policy.drafts() ? with : 1.0, policy.drafts() ? 2 : 1);
  }
  return count;
}

TEST(DraftPolicy, KeepsWhatIsFaster) {
  DraftPolicy pays, does_not;
  EXPECT_GT(drafting_steps(pays, 1.5, 1000), 900);
  EXPECT_NEAR(pays.speed_up(), 4.0 / 3, 0.01);
  EXPECT_LT(drafting_steps(does_not, 2.5, 1000), 100);
  EXPECT_NEAR(does_not.speed_up(), 0.8, 0.01);
}

TEST(DraftPolicy, TriesAgain) {
  DraftPolicy policy;
  drafting_steps(policy, 2.5, 600);
  EXPECT_GT(drafting_steps(policy, 1.2, 1000), 300);
}

}  // namespace
}  // namespace minke
