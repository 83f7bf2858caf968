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
  return config.qk_rope_head_dim * std::log(length / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.rope_theta));
}

}  // namespace

std::vector<double> rotary_frequencies(const ModelConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  const int64_t width = config.qk_rope_head_dim;
  std::vector<double> frequencies;
  for (int64_t i = 0; i < width / 2; ++i)
    frequencies.push_back(std::pow(config.rope_theta, -2.0 * i / width));
  if (scaling.factor <= 1.0) return frequencies;
  const double low = std::max(0.0, std::floor(correction_dimension(config, scaling.beta_fast)));
  double high = std::min(width - 1.0, std::ceil(correction_dimension(config, scaling.beta_slow)));
  if (low == high) high += 0.001;
  for (int64_t i = 0; i < width / 2; ++i) {
    const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= ramp / scaling.factor + 1 - ramp;
  }
  return frequencies;
}

float attention_scale(const ModelConfig& config) {
  const double m = magnitude(config.rope_scaling.factor, config.rope_scaling.mscale_all_dim);
  return static_cast<float>(m * m / std::sqrt(static_cast<double>(config.qk_head_dim())));
}

RotaryTable::RotaryTable(const ModelConfig& config, Arena& arena, int64_t positions) {
  const std::vector<double> frequencies = rotary_frequencies(config);
  const int64_t pairs = static_cast<int64_t>(frequencies.size());
  cosine = arena.allocate(DType::f32, {positions, pairs});
  sine = arena.allocate(DType::f32, {positions, pairs});
  if (arena.is_counting()) return;
  const RopeScaling& scaling = config.rope_scaling;
  const double scale =
      magnitude(scaling.factor, scaling.mscale) / magnitude(scaling.factor, scaling.mscale_all_dim);
  for (int64_t position = 0; position < positions; ++position)
    for (int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      cosine.row<float>(position)[i] = static_cast<float>(scale * std::cos(angle));
      sine.row<float>(position)[i] = static_cast<float>(scale * std::sin(angle));
    }
}

}  // namespace minke
