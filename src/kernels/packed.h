#pragma once
// The layout of a packed matrix [rows, inner]: panels of 16 rows, and inside a panel the inner
// dimension outermost, so that 16 columns of the product are one vector.
//   f32:  [rows / 16][inner][16]
//   bf16: [rows / 16][inner / 2][16][2], pairs along the inner dimension side by side, which is
//   what
//         the bf16 instructions of AVX-512 and AMX take
// Rows are padded to 16, the inner dimension of bf16 to 32; the padding is zero.

#include <cstdint>

#include "kernels/matmul.h"

namespace minke {

constexpr int64_t panel_width = 16;

constexpr int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

constexpr int64_t packed_inner(DType dtype, int64_t inner) {
  return dtype == DType::bf16 ? round_up(inner, 32) : inner;
}

// Elements from one panel to the next.
constexpr int64_t panel_elements(const PackedMatrix& b) {
  return packed_inner(b.storage.dtype, b.inner) * panel_width;
}

// Position of element (row, inner) in the storage.
constexpr int64_t packed_index(const PackedMatrix& b, int64_t row, int64_t inner) {
  const int64_t panel = row / panel_width * panel_elements(b), column = row % panel_width;
  if (b.storage.dtype == DType::bf16)
    return panel + inner / 2 * (2 * panel_width) + column * 2 + inner % 2;
  return panel + inner * panel_width + column;
}

}  // namespace minke
