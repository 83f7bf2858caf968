#pragma once
// The fast side of kernels/matmul.h: cuts products into blocks and spreads them over threads.
// Arguments are checked by the caller.

#include "kernels/matmul.h"

namespace minke::cpu {

void pack(const PackedMatrix& packed, const Tensor& weight, int64_t row_offset);
void pack_transposed(const PackedMatrix& packed, const Tensor& weight, int64_t inner_offset);
void pack_stored(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset);

// The products of one call, c[i] (+)= a[i]·b[i]ᵀ, all of one shape of b.
struct Products {
  std::span<const Tensor> c, a;
  std::span<const PackedMatrix> b;
  bool accumulate = false;
  // Of each product or empty: row r is row index[i][r] of a[i].
  std::span<const int32_t* const> index = {};
  // Of each product or empty: silu(gate)⊙up of c's columns, whose halves begin with a panel, times
  // the rows' weights where they are given.
  std::span<const Tensor> h = {};
  std::span<const float* const> weights = {};
};

void matmul_batched(const Products& products);
// As matmul_scatter() of kernels/matmul.h.
void matmul_scatter(const Tensor& c, const int32_t* index, const Tensor& a,
                    std::span<const PackedMatrix> b, std::span<const int64_t> offsets);
void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const IndexedRows& dy,
                                    const IndexedRows& x, std::span<const int64_t> offsets,
                                    bool accumulate);

}  // namespace minke::cpu
