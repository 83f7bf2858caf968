#pragma once
// The scalar truth of kernels/matmul.h: naive loops, sums in double. Arguments are checked by the
// caller.

#include "kernels/matmul.h"

namespace minke::ref {

void pack(const PackedMatrix& packed, const Tensor& weight, int64_t row_offset);
void pack_transposed(const PackedMatrix& packed, const Tensor& weight, int64_t inner_offset);
void pack_stored(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset);
void matmul_batched(std::span<const Tensor> c, std::span<const Tensor> a,
                    std::span<const PackedMatrix> b, bool accumulate);
void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const IndexedRows& dy,
                                    const IndexedRows& x, std::span<const int64_t> offsets,
                                    bool accumulate);

}  // namespace minke::ref
