#pragma once
// Rotary position embedding on interleaved pairs, as DeepSeek's weights have it: pair (a, b) at
// angle θ becomes (a·cos θ − b·sin θ, a·sin θ + b·cos θ).

#include "tensor/tensor.h"

namespace minke {

// Rotates x [T, heads, rope] in place; rows and heads may be strided. positions: i32 [T]. cosine
// and sine: f32 [max_position, rope / 2]. A position at or beyond max_position is an Error.
// inverse: rotates back, which is also the gradient.
void rope(const Tensor& x, const Tensor& positions, const Tensor& cosine, const Tensor& sine,
          bool inverse);

}  // namespace minke
