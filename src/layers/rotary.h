#pragma once
// Rotary angles with YaRN (Peng et al. 2023; as DeepSeek-V2 and V3 use it), and the softmax scale
// that belongs to them.

#include <vector>

#include "config/model_config.h"
#include "tensor/arena.h"

namespace minke {

// θ per position of each of the rope dimension's pairs: base^(−2i/D), interpolated by YaRN's ramp.
std::vector<double> rotary_frequencies(const ModelConfig& config);

// (qk head dim)^-½, times mscale² where YaRN is on.
float attention_scale(const ModelConfig& config);

// cos and sin of all angles up to `positions`; the arena owns them. Filled unless the arena counts.
struct RotaryTable {
  Tensor cosine, sine;  // f32 [positions, rope / 2]

  RotaryTable() = default;
  RotaryTable(const ModelConfig& config, Arena& arena, int64_t positions);
};

}  // namespace minke
