#pragma once
// Rotary position embedding (Su et al. 2021): pair (a, b) at angle θ becomes
// (a·cos θ − b·sin θ, a·sin θ + b·cos θ).

#include "tensor/tensor.h"

namespace minke {

// Which elements make pair i of n.
enum class RopePairs {
  interleaved,  // 2i and 2i + 1: DeepSeek's weights
  halves,       // i and n + i: Llama's and Qwen's weights as Hugging Face has them
};

// Rotates x [T, heads, rope] in place; rows and heads may be strided. positions: i32 [T]. cosine
// and sine: f32 [max_position, rope / 2]. A position at or beyond max_position is an Error.
// inverse: rotates back, which is also the gradient.
void rope(const Tensor& x, const Tensor& positions, const Tensor& cosine, const Tensor& sine,
          bool inverse, RopePairs pairs = RopePairs::interleaved);

}  // namespace minke
