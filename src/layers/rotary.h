#pragma once
// Rotary angles, plain, with YaRN (Peng et al. 2023) as DeepSeek uses it or as transformers has it
// for dense models, or with Llama 3.1's interpolation; and the softmax scale that belongs to them.

#include <vector>

#include "config/model_config.h"
#include "tensor/arena.h"

namespace minke {

// θ per position of each of the rope dimension's pairs: base^(−2i/D), interpolated where the
// configuration says so.
std::vector<double> rotary_frequencies(const ModelConfig& config);

// (qk head dim)^-½, times mscale² where DeepSeek's YaRN is on.
float attention_scale(const ModelConfig& config);

// cos and sin of all angles up to `positions`; the arena owns them. Filled unless the arena counts.
struct RotaryTable {
  Tensor cosine, sine;  // f32 [positions, rope / 2]

  RotaryTable() = default;
  RotaryTable(const ModelConfig& config, Arena& arena, int64_t positions);
};

}  // namespace minke
