#pragma once
// The optimiser's pass over memory, and flat reductions.

#include "kernels/row_ops.h"
#include "tensor/tensor.h"

namespace minke {

// AdamW (Loshchilov and Hutter 2019) on flat tensors of equal size: m ← β1·m + (1−β1)·g,
// v ← β2·v + (1−β2)·g², w ← w − lr·(m̂/(√v̂ + ε) + wd·w), with g = gradient_scale·gradient.
// weight, gradient: f32. m, v: f32 or bf16. One fused pass.
void adamw_step(const Tensor& weight, const Tensor& m, const Tensor& v, const Tensor& gradient,
                float gradient_scale, const AdamwConstants& constants);

// Σ x² of a flat f32 tensor in double; the order of the sum is fixed by its size.
double sum_of_squares(const Tensor& x);

// y = a·y + b·x, flat f32 of equal size.
void blend(const Tensor& y, float a, const Tensor& x, float b);

}  // namespace minke
