#pragma once
// Loading and storing tensor rows as f32. Internal to kernels/.

#include <vector>

#include "kernels/row_ops.h"
#include "tensor/tensor.h"

namespace minke {

// f32 space for one row; one object a task, reused for all of the task's rows.
class RowBuffer {
 public:
  explicit RowBuffer(int64_t columns) : ops_(row_ops()), values_(static_cast<size_t>(columns)) {}
  float* data() { return values_.data(); }

  // Row `row` of x as f32: where it lies if it is f32, otherwise widened into this buffer.
  const float* load(const Tensor& x, int64_t row) {
    if (x.dtype == DType::f32) return x.row<float>(row);
    ops_.widen(data(), &x.row<BFloat16>(row)->bits, x.columns());
    return data();
  }
  // Where to compute row `row` of y as f32: in place if y is f32, otherwise in this buffer; finish
  // with store().
  float* target(const Tensor& y, int64_t row) {
    return y.dtype == DType::f32 ? y.row<float>(row) : data();
  }
  void store(const Tensor& y, int64_t row) {
    if (y.dtype == DType::bf16) ops_.narrow(&y.row<BFloat16>(row)->bits, data(), y.columns());
  }

 private:
  const RowOps& ops_;
  std::vector<float> values_;
};

// Rows that one task takes, so that a task is some ten thousand elements.
constexpr int64_t rows_per_task(int64_t columns) {
  return columns >= 16384 ? 1 : 16384 / (columns > 0 ? columns : 1);
}

// Checks that a tensor has this shape, its rows without gaps.
inline void expect_rows(const Tensor& x, int64_t rows, int64_t columns, const char* name) {
  require(
      x && x.rows() == rows && x.columns() == columns && (x.rank < 3 || x.stride[1] == x.shape[2]),
      "{}: {} where contiguous rows [{}, {}] were expected", name, x, rows, columns);
}

}  // namespace minke
