#pragma once
// How a product is cut into tasks.

#include <algorithm>
#include <span>
#include <vector>

#include "base/threads.h"
#include "kernels/packed.h"

namespace minke::cpu {

// `count` cut into equal pieces of at most `limit`, a multiple of `unit`.
inline int64_t piece(int64_t count, int64_t limit, int64_t unit) {
  const int64_t pieces = std::max<int64_t>(1, (count + limit - 1) / limit);
  return round_up((count + pieces - 1) / pieces, unit);
}

// Little work, in operations and in bytes to read, is not worth waking threads for.
template <typename Task>
void run_tasks(int64_t count, int64_t operations, int64_t bytes, const Task& task) {
  if (operations < (1 << 19) && bytes < (1 << 17))
    for (int64_t index = 0; index < count; ++index) task(index);
  else
    parallel_for(count, task);
}

// One call's work: tiles of rows × columns of every group's result. Where they are cut changes no
// bit, because every element of the result is summed by itself.
class Tiling {
 public:
  Tiling(std::span<const int64_t> group_rows, int64_t columns, int64_t tile_rows,
         int64_t tile_columns)
      : rows_(group_rows.begin(), group_rows.end()), columns_(columns), tile_rows_(tile_rows) {
    const int64_t enough = 2 * thread_count();  // tasks, for balance
    do {
      tile_columns_ = piece(columns, tile_columns, panel_width);
      across_ = (columns + tile_columns_ - 1) / tile_columns_;
      begin_.assign(1, 0);
      for (const int64_t rows : rows_) begin_.push_back(begin_.back() + down(rows) * across_);
      tile_columns /= 2;
    } while (begin_.back() < enough && tile_columns >= 64);
  }

  // body(group, row begin, row end, column begin, column end), rows counted inside the group.
  template <typename Body>
  void run(int64_t operations, int64_t bytes, const Body& body) const {
    const auto task = [&](int64_t index) {
      const auto after = std::upper_bound(begin_.begin(), begin_.end(), index);
      const int64_t group = after - begin_.begin() - 1, inside = index - begin_[group];
      const int64_t j = inside / across_, rows = rows_[group], pieces = down(rows);
      const int64_t column = inside % across_ * tile_columns_;
      body(group, j * rows / pieces, (j + 1) * rows / pieces, column,
           std::min(column + tile_columns_, columns_));
    };
    run_tasks(begin_.back(), operations, bytes, task);
  }

 private:
  // Pieces of equal height: a thin one would cost as much as the others.
  int64_t down(int64_t rows) const { return (rows + tile_rows_ - 1) / tile_rows_; }

  std::vector<int64_t> rows_, begin_;  // per group: rows, first task
  int64_t columns_, tile_rows_, tile_columns_ = 0, across_ = 0;
};

}  // namespace minke::cpu
