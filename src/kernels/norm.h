#pragma once
// RMSNorm (Zhang and Sennrich 2019): r = (mean(x²) + ε)^-½, y = w⊙x·r; and its gradient:
//   g = w⊙dy, dx = r·g − x·(r³/n)·Σ(g⊙x), dw = Σ_rows dy⊙x·r

#include "tensor/tensor.h"

namespace minke {

// x, y: [T, n], f32 or bf16 each, rows may be strided. weight: f32 [n].
void rms_norm_forward(const Tensor& y, const Tensor& x, const Tensor& weight, float epsilon);

// dx [T, n] is overwritten, or added to if accumulate. dweight f32 [n] is added to; empty: not
// wanted.
void rms_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dy, const Tensor& x,
                       const Tensor& weight, float epsilon, bool accumulate);

}  // namespace minke
