#include "kernels/norm.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "kernels/profile.h"
#include "kernels/rows.h"

namespace minke {
namespace {

float reciprocal_rms(const RowOps& ops, const float* x, int64_t n, float epsilon) {
  return 1.0f / std::sqrt(ops.dot(x, x, n) / static_cast<float>(n) + epsilon);
}

// Rows whose part of dw is summed by one task. Fixed, so that the order of the sum does not depend
// on the number of threads.
constexpr int64_t rows_per_partial = 64;

}  // namespace

void rms_norm_forward(const Tensor& y, const Tensor& x, const Tensor& weight, float epsilon) {
  const MemoryScope scope("norm", {y, x});
  const int64_t n = x.columns();
  expect_rows(y, x.rows(), n, "rms_norm_forward y");
  require(weight.size() == n, "rms_norm_forward: weight {} for {}", weight, x);
  parallel_ranges(x.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer in(n), out(n);
    for (int64_t row = begin; row < end; ++row) {
      const float* values = in.load(x, row);
      ops.multiply(out.target(y, row), values, weight.as<float>(),
                   reciprocal_rms(ops, values, n, epsilon), n);
      out.store(y, row);
    }
  });
}

void rms_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dy, const Tensor& x,
                       const Tensor& weight, float epsilon, bool accumulate) {
  const MemoryScope scope("norm backward", {dx, dy, x});
  const int64_t n = x.columns(), rows = x.rows();
  expect_rows(dx, rows, n, "rms_norm_backward dx");
  expect_rows(dy, rows, n, "rms_norm_backward dy");
  const int64_t partials = (rows + rows_per_partial - 1) / rows_per_partial;
  std::vector<float> sums(dweight ? static_cast<size_t>(partials * n) : 0);
  parallel_ranges(rows, rows_per_partial, [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer x_row(n), dy_row(n), scaled(n), result(n);
    float* sum = dweight ? sums.data() + begin / rows_per_partial * n : nullptr;
    for (int64_t row = begin; row < end; ++row) {
      const float* in = x_row.load(x, row);
      const float* gradient = dy_row.load(dy, row);
      const float r = reciprocal_rms(ops, in, n, epsilon);
      if (sum) ops.add_product(sum, gradient, in, r, n);
      ops.multiply(scaled.data(), gradient, weight.as<float>(), 1.0f, n);
      const float shrink = r * r * r / static_cast<float>(n) * ops.dot(scaled.data(), in, n);
      float* out = result.target(dx, row);
      if (!accumulate)
        std::fill(out, out + n, 0.0f);
      else if (out == result.data())
        result.load(dx, row);
      ops.add_scaled(out, scaled.data(), r, n);
      ops.add_scaled(out, in, -shrink, n);
      result.store(dx, row);
    }
  });
  for (int64_t i = 0; dweight && i < partials; ++i)
    row_ops().add_scaled(dweight.as<float>(), sums.data() + i * n, 1.0f, n);
}

}  // namespace minke
