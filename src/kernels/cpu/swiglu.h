#pragma once
// Tiles of products, and what SwiGLU makes of them while they are in the cache.

#include "kernels/cpu/tiling.h"
#include "kernels/rows.h"

namespace minke::cpu {

// A tile of h = silu(gate)⊙up, of the gate's columns [column, column_end).
inline void swiglu_tile(const Tensor& h, const Tensor& gate_up, int64_t row, int64_t row_end,
                        int64_t column, int64_t column_end) {
  const int64_t columns = column_end - column, width = h.columns();
  const Tensor gate = gate_up.slice_last(column, column_end);
  const Tensor up = gate_up.slice_last(width + column, width + column_end);
  const Tensor out = h.slice_last(column, column_end);
  RowBuffer gate_row(columns), up_row(columns), out_row(columns);
  for (; row < row_end; ++row) {
    row_ops().silu_mul(out_row.target(out, row), gate_row.load(gate, row), up_row.load(up, row),
                       columns);
    out_row.store(out, row);
  }
}

// tile(product, rows, columns) for all tiles of c; with h the tiling is that of the gate's columns,
// and each task takes those of up as well.
template <typename Tile>
void run_tiles(const Tiling& tiling, int64_t operations, int64_t bytes, std::span<const Tensor> c,
               std::span<const Tensor> h, const Tile& tile) {
  tiling.run(operations, bytes,
             [&](int64_t i, int64_t row, int64_t row_end, int64_t column, int64_t column_end) {
               tile(i, row, row_end, column, column_end);
               if (h.empty()) return;
               const int64_t width = h[i].columns();
               tile(i, row, row_end, width + column, width + column_end);
               swiglu_tile(h[i], c[i], row, row_end, column, column_end);
             });
}

}  // namespace minke::cpu
