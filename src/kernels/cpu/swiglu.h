#pragma once
// Tiles of products, and what SwiGLU makes of them while they are in the cache.

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/tiling.h"
#include "kernels/rows.h"

namespace minke::cpu {

// A tile of h = silu(gate)⊙up, of the gate's columns [column, column_end); times weights of the
// rows, or null.
inline void swiglu_tile(const Tensor& h, const Tensor& gate_up, const float* weights, int64_t row,
                        int64_t row_end, int64_t column, int64_t column_end) {
  const int64_t columns = column_end - column, width = h.columns();
  const Tensor gate = gate_up.slice_last(column, column_end);
  const Tensor up = gate_up.slice_last(width + column, width + column_end);
  const Tensor out = h.slice_last(column, column_end);
  RowBuffer gate_row(columns), up_row(columns), out_row(columns);
  for (; row < row_end; ++row) {
    float* product = out_row.target(out, row);
    row_ops().silu_mul(product, gate_row.load(gate, row), up_row.load(up, row), columns);
    if (weights) row_ops().scale(product, weights[row], columns);
    out_row.store(out, row);
  }
}

// tile(product, rows, columns) for all tiles of c; with h the tiling is that of the gate's columns,
// and each task takes those of up as well.
template <typename Tile>
void run_tiles(const Tiling& tiling, int64_t operations, int64_t bytes, const Products& p,
               const Tile& tile) {
  tiling.run(operations, bytes,
             [&](int64_t i, int64_t row, int64_t row_end, int64_t column, int64_t column_end) {
               tile(i, row, row_end, column, column_end);
               if (p.h.empty()) return;
               const int64_t width = p.h[i].columns();
               tile(i, row, row_end, width + column, width + column_end);
               swiglu_tile(p.h[i], p.c[i], p.weights.empty() ? nullptr : p.weights[i], row, row_end,
                           column, column_end);
             });
}

}  // namespace minke::cpu
