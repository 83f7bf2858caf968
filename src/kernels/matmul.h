#pragma once
// Matrix products. A weight W is [out, in] row-major and means y = x·Wᵀ; it is packed once and used
// many times. bf16 operands are multiplied exactly and accumulated in f32; f32 operands in f32. The
// sum over the inner dimension has one fixed order, so a row of the result has the same bits for
// any number of rows, threads, and for the single and the grouped call. All functions: thread-safe
// on distinct outputs, parallel inside, Error if shapes or dtypes disagree.

#include <cstdint>
#include <span>

#include "tensor/arena.h"

namespace minke {

// A matrix B [rows, inner] in the kernels' layout, for a·Bᵀ. Does not own its storage.
struct PackedMatrix {
  int64_t rows = 0;   // columns of the product
  int64_t inner = 0;  // the dimension summed over
  Tensor storage;     // dtype of the arithmetic: f32 or bf16
};

// Storage for a packed matrix, to be filled by pack() or pack_transposed().
PackedMatrix allocate_packed(Arena& arena, DType dtype, int64_t rows, int64_t inner);

// Fills `packed` [N, K] from `weight` [N, K] (f32 or bf16, rows may be strided). Rows of `weight`
// go to rows [row_offset, row_offset + N') of the packed matrix, so several weights can share one.
void pack(const PackedMatrix& packed, const Tensor& weight, int64_t row_offset = 0);

// Fills `packed` [K, N] from the transpose of `weight` [N, K]: for dx = dy·W.
// Weight rows go to inner positions [inner_offset, inner_offset + N').
void pack_transposed(const PackedMatrix& packed, const Tensor& weight, int64_t inner_offset = 0);

// c [M, N] = a [M, K]·Bᵀ (+ c if accumulate). a: f32 or bf16, rounded to the packed dtype where it
// differs; c: f32 or bf16. Rows of a and c may be strided.
void matmul(const Tensor& c, const Tensor& a, const PackedMatrix& b, bool accumulate = false);

// For each group g: rows [offsets[g], offsets[g+1]) of c = those rows of a times b[g]ᵀ. One call
// for all experts of a layer; groups may be empty.
void matmul_grouped(const Tensor& c, const Tensor& a, std::span<const PackedMatrix> b,
                    std::span<const int64_t> offsets, bool accumulate = false);

// Weight gradient: dw [N, K] f32 = dyᵀ·x (+ dw if accumulate), dy [M, N], x [M, K] of one dtype,
// which is the dtype of the arithmetic.
void matmul_weight_gradient(const Tensor& dw, const Tensor& dy, const Tensor& x, bool accumulate);

// The same for each group of rows; dw[g] is [N, K]. A group without rows gives zero (or leaves dw
// alone if accumulate).
void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const Tensor& dy, const Tensor& x,
                                    std::span<const int64_t> offsets, bool accumulate);

}  // namespace minke
