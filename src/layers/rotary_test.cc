#include "layers/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "config/presets.h"

namespace minke {
namespace {

ModelConfig v3_config() {
  ModelConfig config;
  config.rope_scaling.factor = 40;
  return config;
}

// The check values of DeepSeek-V3's YaRN: low 10, high 23, factor 40.
TEST(Rotary, FrequenciesOfDeepseekV3) {
  const auto f = rotary_frequencies(v3_config());
  ASSERT_EQ(f.size(), 32u);
  EXPECT_DOUBLE_EQ(f[0], 1.0);
  EXPECT_NEAR(f[10], 5.623413e-2, 1e-8);
  EXPECT_NEAR(f[11], 3.900693e-2, 1e-8);
  EXPECT_NEAR(f[16], 5.5e-3, 1e-9);
  EXPECT_NEAR(f[23], 3.333804e-5, 1e-11);
  EXPECT_NEAR(f[31], 3.333804e-6, 1e-12);
}

TEST(Rotary, ScaleOfTheReleasedModels) {
  EXPECT_NEAR(attention_scale(v3_config()), 0.1352337789, 1e-8);
  ModelConfig lite = v3_config();
  lite.rope_scaling.mscale = lite.rope_scaling.mscale_all_dim = 0.707;
  EXPECT_NEAR(attention_scale(lite), 0.1147213868, 1e-8);
  EXPECT_NEAR(attention_scale(ModelConfig()), 0.0721687836, 1e-8);
}

// Llama 3.1 keeps the high frequencies, blends those between, and divides the low ones.
TEST(Rotary, FrequenciesOfLlama3) {
  const ModelConfig config = model_preset("r1-distill-llama-8b");
  const auto f = rotary_frequencies(config);
  ASSERT_EQ(f.size(), 64u);
  const auto plain = [](int64_t i) { return std::pow(5e5, -2.0 * static_cast<double>(i) / 128); };
  EXPECT_DOUBLE_EQ(f[0], 1.0);
  EXPECT_DOUBLE_EQ(f[28], plain(28));
  const double s = (8192 * plain(32) / (2 * std::acos(-1.0)) - 1) / 3;
  ASSERT_GT(s, 0);
  ASSERT_LT(s, 1);
  EXPECT_NEAR(f[32] / ((1 - s) * plain(32) / 8 + s * plain(32)), 1, 1e-12);
  EXPECT_DOUBLE_EQ(f[63], plain(63) / 8);
  EXPECT_NEAR(attention_scale(config), 1 / std::sqrt(128.0), 1e-8);
}

TEST(Rotary, PlainYarnScalesTheTable) {
  ModelConfig config = model_preset("r1-0528-qwen3-8b");
  Arena arena(1 << 16);
  const auto first = [&] { return RotaryTable(config, arena, 1).cosine.as<float>()[0]; };
  EXPECT_FLOAT_EQ(first(), 1.1386294f);  // 0.1 ln 4 + 1
  EXPECT_NEAR(attention_scale(config), 1 / std::sqrt(128.0), 1e-8);
  config.rope_scaling.attention_factor = 0.9;
  EXPECT_FLOAT_EQ(first(), 0.9f);
  config.rope_scaling.factor = 1;
  EXPECT_FLOAT_EQ(first(), 1.0f);
}

TEST(Rotary, TableHoldsCosineAndSine) {
  Arena counting = Arena::counting();
  const RotaryTable planned(v3_config(), counting, 100);
  Arena arena(counting.used());
  const RotaryTable table(v3_config(), arena, 100);
  EXPECT_FLOAT_EQ(table.cosine.row<float>(99)[0], static_cast<float>(std::cos(99.0)));
  EXPECT_FLOAT_EQ(table.sine.row<float>(7)[16], static_cast<float>(std::sin(7 * 5.5e-3)));
}

}  // namespace
}  // namespace minke
