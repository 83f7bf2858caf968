#pragma once
// Products whose rows are added to rows of c that an index names.

#include <algorithm>
#include <span>

#include "base/threads.h"
#include "kernels/cpu/block.h"
#include "kernels/cpu/tiling.h"
#include "kernels/row_ops.h"
#include "tensor/tensor.h"

namespace minke::cpu {

// Of the largest group.
inline int64_t most_rows(std::span<const int64_t> offsets) {
  int64_t rows = 0;
  for (size_t g = 0; g + 1 < offsets.size(); ++g)
    rows = std::max(rows, offsets[g + 1] - offsets[g]);
  return rows;
}

// A task takes some of c's rows and columns, and of them all groups in order: no two tasks write
// one element, and its sum has one order. Rows of a group rise in c, so a task's lie together.
class Scatter {
 public:
  // tile_rows: of a group's product at most; tile_columns: of c.
  Scatter(const Tensor& c, const int32_t* index, std::span<const int64_t> offsets,
          int64_t tile_rows, int64_t tile_columns)
      : c_(c), index_(index), offsets_(offsets), tile_rows_(tile_rows) {
    int64_t groups = 0;
    for (size_t g = 0; g + 1 < offsets.size(); ++g) groups += offsets[g] < offsets[g + 1];
    const int64_t enough = 2 * thread_count();
    // Ranges of rows first, as long as the groups' products stay high; then narrower columns.
    const int64_t high =
        (offsets.back() - offsets.front()) / std::max<int64_t>(1, groups * tile_rows);
    do {
      width_ = piece(c.columns(), tile_columns, panel_width);
      across_ = (c.columns() + width_ - 1) / width_;
      ranges_ =
          std::clamp<int64_t>((enough + across_ - 1) / across_, 1, std::max<int64_t>(1, high));
      tile_columns /= 2;
    } while (ranges_ * across_ < enough && tile_columns >= 64);
  }

  // product(group, row begin, row end, column begin, column end, sums): sums f32 [rows, columns] is
  // overwritten with that part of the group's product; rows are a's. Little work is done by the
  // calling thread.
  template <typename Multiply>
  void run(int64_t operations, int64_t bytes, const Multiply& product) const {
    const auto task = [&](int64_t i) {
      const int64_t range = i / across_, column = i % across_ * width_;
      const int64_t from = range * c_.rows() / ranges_, to = (range + 1) * c_.rows() / ranges_;
      for (size_t g = 0; g + 1 < offsets_.size(); ++g) {
        const auto* end = index_ + offsets_[g + 1];
        const auto* first = std::lower_bound(index_ + offsets_[g], end, from);
        add(static_cast<int64_t>(g), first - index_, std::lower_bound(first, end, to) - index_,
            column, std::min(column + width_, c_.columns()), product);
      }
    };
    run_tasks(ranges_ * across_, operations, bytes, task);
  }

 private:
  template <typename Multiply>
  void add(int64_t group, int64_t row, int64_t end, int64_t column, int64_t column_end,
           const Multiply& product) const {
    const int64_t columns = column_end - column, stride = round_up(columns, panel_width);
    const int64_t height = piece(end - row, tile_rows_, 1);
    for (int64_t last = row; row < end; row = last) {
      last = std::min(row + height, end);
      float* sums = reinterpret_cast<float*>(scratch(scatter_slot, (last - row) * stride * 4));
      Tensor part(sums, DType::f32, {last - row, stride});
      product(group, row, last, column, column_end, part.slice_last(0, columns));
      for (int64_t r = row; r < last; ++r)
        row_ops().add_scaled(c_.row<float>(index_[r]) + column, sums + (r - row) * stride, 1.0f,
                             columns);
    }
  }

  static constexpr int scatter_slot = 16;
  const Tensor& c_;
  const int32_t* index_;
  std::span<const int64_t> offsets_;
  int64_t tile_rows_, width_ = 0, across_ = 0, ranges_ = 0;
};

}  // namespace minke::cpu
