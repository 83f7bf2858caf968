#include "train/schedule.h"

#include <gtest/gtest.h>

namespace minke {
namespace {

TEST(Schedule, WarmsUpLinearly) {
  ScheduleConfig s;
  s.kind = ScheduleKind::constant;
  s.warmup_tokens = 100;
  EXPECT_DOUBLE_EQ(learning_rate_factor(s, 0, 1000), 0.0);
  EXPECT_DOUBLE_EQ(learning_rate_factor(s, 50, 1000), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate_factor(s, 100, 1000), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate_factor(s, 999, 1000), 1.0);
}

TEST(Schedule, CosineEndsAtItsFinalFactor) {
  ScheduleConfig s;
  s.final_factor = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate_factor(s, 0, 1000), 1.0);
  EXPECT_NEAR(learning_rate_factor(s, 500, 1000), 0.55, 1e-12);
  EXPECT_NEAR(learning_rate_factor(s, 1000, 1000), 0.1, 1e-12);
}

TEST(Schedule, WsdDecaysAtTheEndOnly) {
  ScheduleConfig s;
  s.kind = ScheduleKind::wsd;
  s.decay_tokens = 200;
  s.final_factor = 0.0;
  EXPECT_DOUBLE_EQ(learning_rate_factor(s, 799, 1000), 1.0);
  EXPECT_NEAR(learning_rate_factor(s, 900, 1000), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate_factor(s, 1000, 1000), 0.0, 1e-12);
}

// The report's section 4.2: 10T constant, 4.3T cosine to a tenth, 333B constant, 167B at 7.3e-6.
TEST(Schedule, DeepseekV3) {
  ScheduleConfig s;
  s.kind = ScheduleKind::deepseek_v3;
  s.decay_start_tokens = 10'000;
  s.decay_tokens = 4'300;
  s.final_factor = 0.1;
  s.last_tokens = 167;
  s.last_factor = 7.3e-6 / 2.2e-4;
  EXPECT_DOUBLE_EQ(learning_rate_factor(s, 9'999, 14'800), 1.0);
  EXPECT_NEAR(learning_rate_factor(s, 12'150, 14'800), 0.55, 1e-12);
  EXPECT_NEAR(learning_rate_factor(s, 14'400, 14'800), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate_factor(s, 14'700, 14'800) * 2.2e-4, 7.3e-6, 1e-15);
}

TEST(Schedule, BatchGrowsInWholeMicroBatches) {
  BatchConfig batch;
  batch.sequences = 32;
  batch.initial_sequences = 8;
  batch.ramp_tokens = 1000;
  batch.micro_batch = 8;
  EXPECT_EQ(batch_sequences(batch, 0), 8);
  EXPECT_EQ(batch_sequences(batch, 500), 16);
  EXPECT_EQ(batch_sequences(batch, 1000), 32);
  batch.micro_batch = 64;
  EXPECT_EQ(batch_sequences(batch, 500), 32) << "a micro-batch is no more than a batch";
  batch.initial_sequences = 0;
  EXPECT_EQ(batch_sequences(batch, 0), 32);
}

TEST(Schedule, LambdaAndBiasChangeLate) {
  BalanceConfig balance;
  balance.mtp_late_tokens = 100;
  EXPECT_DOUBLE_EQ(mtp_lambda(balance, 99), 0.3);
  EXPECT_DOUBLE_EQ(mtp_lambda(balance, 100), 0.1);
  balance.bias_freeze_tokens = 10;
  EXPECT_DOUBLE_EQ(bias_update_speed(balance, 989, 1000), 1e-3);
  EXPECT_DOUBLE_EQ(bias_update_speed(balance, 990, 1000), 0.0);
}

}  // namespace
}  // namespace minke
