#pragma once
// The fast side of kernels/matmul.h: cuts products into blocks and spreads them over threads.
// Arguments are checked by the caller.

#include "kernels/matmul.h"

namespace minke::cpu {

void pack(const PackedMatrix& packed, const Tensor& weight, int64_t row_offset);
void pack_transposed(const PackedMatrix& packed, const Tensor& weight, int64_t inner_offset);
void pack_stored(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset);
// h: of each product, silu(gate)⊙up of its columns, whose halves begin with a panel; empty: not
// wanted.
void matmul_batched(std::span<const Tensor> c, std::span<const Tensor> a,
                    std::span<const PackedMatrix> b, bool accumulate, std::span<const Tensor> h);
void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const Tensor& dy, const Tensor& x,
                                    std::span<const int64_t> offsets, bool accumulate);

}  // namespace minke::cpu
