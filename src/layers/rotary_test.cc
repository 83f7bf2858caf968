#include "layers/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

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
