#include "layers/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace minke {
namespace {

// The magnitude correction: 0.1·m·ln(factor) + 1.
double magnitude(double factor, double m) {
  return factor <= 1.0 ? 1.0 : 0.1 * m * std::log(factor) + 1.0;
}

// The dimension whose wave makes `rotations` turns over the original context.
double correction_dimension(const ModelConfig& config, double rotations) {
  const double length = static_cast<double>(config.rope_scaling.original_max_position_embeddings);
  return config.rotary_dim() * std::log(length / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.rope_theta));
}

// Frequencies whose wave fits few times into the original context are divided by the factor.
void interpolate_yarn(const ModelConfig& config, std::vector<double>& frequencies) {
  const RopeScaling& scaling = config.rope_scaling;
  const double low = std::max(0.0, std::floor(correction_dimension(config, scaling.beta_fast)));
  double high = std::min(config.rotary_dim() - 1.0,
                         std::ceil(correction_dimension(config, scaling.beta_slow)));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= ramp / scaling.factor + 1 - ramp;
  }
}

// Llama 3.1's: the ramp runs over how often a wave fits into the original context.
void interpolate_llama3(const RopeScaling& scaling, std::vector<double>& frequencies) {
  const double length = static_cast<double>(scaling.original_max_position_embeddings);
  for (double& frequency : frequencies) {
    const double waves = length * frequency / (2 * std::numbers::pi);
    const double keep = std::clamp(
        (waves - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor),
        0.0, 1.0);
    frequency *= (1 - keep) / scaling.factor + keep;
  }
}

// What cos and sin are multiplied by.
double table_scale(const RopeScaling& scaling) {
  switch (scaling.rope_type) {
    case RopeType::deepseek_yarn:
      return magnitude(scaling.factor, scaling.mscale) /
             magnitude(scaling.factor, scaling.mscale_all_dim);
    case RopeType::yarn:
      if (scaling.factor <= 1.0) return 1.0;
      return scaling.attention_factor > 0 ? scaling.attention_factor
                                          : magnitude(scaling.factor, 1.0);
    case RopeType::llama3:
      return 1.0;
  }
  fail("a RoPE type without a scale");
}

}  // namespace

std::vector<double> rotary_frequencies(const ModelConfig& config) {
  const int64_t width = config.rotary_dim();
  std::vector<double> frequencies;
  for (int64_t i = 0; i < width / 2; ++i)
    frequencies.push_back(std::pow(config.rope_theta, -2.0 * i / width));
  if (config.rope_scaling.factor <= 1.0) return frequencies;
  if (config.rope_scaling.rope_type == RopeType::llama3)
    interpolate_llama3(config.rope_scaling, frequencies);
  else
    interpolate_yarn(config, frequencies);
  return frequencies;
}

float attention_scale(const ModelConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  const double m = scaling.rope_type == RopeType::deepseek_yarn
                       ? magnitude(scaling.factor, scaling.mscale_all_dim)
                       : 1.0;
  return static_cast<float>(m * m / std::sqrt(static_cast<double>(config.qk_head_dim())));
}

RotaryTable::RotaryTable(const ModelConfig& config, Arena& arena, int64_t positions) {
  const std::vector<double> frequencies = rotary_frequencies(config);
  const int64_t pairs = static_cast<int64_t>(frequencies.size());
  cosine = arena.allocate(DType::f32, {positions, pairs});
  sine = arena.allocate(DType::f32, {positions, pairs});
  if (arena.is_counting()) return;
  const double scale = table_scale(config.rope_scaling);
  for (int64_t position = 0; position < positions; ++position)
    for (int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      cosine.row<float>(position)[i] = static_cast<float>(scale * std::cos(angle));
      sine.row<float>(position)[i] = static_cast<float>(scale * std::sin(angle));
    }
}

}  // namespace minke
