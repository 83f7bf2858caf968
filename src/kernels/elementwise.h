#pragma once
// Elementwise kernels: SwiGLU, conversions, sums. Rows may be strided; dtypes f32 or bf16 unless
// said.

#include "tensor/tensor.h"

namespace minke {

// SwiGLU (Shazeer 2020): h [T, I] = silu(gate)⊙up, gate_up [T, 2·I] with the gate's half first;
// times weights f32 [T] of the rows where they are given.
void silu_mul_forward(const Tensor& h, const Tensor& gate_up, const Tensor& weights = {});
// dgate_up [T, 2·I] and, with weights, dweights f32 [T] are overwritten.
void silu_mul_backward(const Tensor& dgate_up, const Tensor& dh, const Tensor& gate_up,
                       const Tensor& weights = {}, const Tensor& dweights = {});

// y = 0; contiguous.
void clear(const Tensor& y);
// y = x, converted to y's dtype. Same number of rows and columns.
void convert(const Tensor& y, const Tensor& x);
// y [T, n] (+)= row f32 [n], for each row.
void broadcast_row(const Tensor& y, const Tensor& row, bool accumulate);
// sum f32 [n] += Σ_t x [T, n], in an order that T fixes.
void sum_rows(const Tensor& sum, const Tensor& x);
// y [T, n] = Σ_h x [T, heads, n], heads in order.
void sum_heads(const Tensor& y, const Tensor& x);

}  // namespace minke
