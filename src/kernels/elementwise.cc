#include "kernels/elementwise.h"

#include <algorithm>
#include <cstring>

#include "base/threads.h"
#include "kernels/profile.h"
#include "kernels/rows.h"

namespace minke {

void clear(const Tensor& y) {
  const MemoryScope scope("clear", {y});
  constexpr int64_t bytes_per_task = 1 << 18;
  require(y.contiguous(), "clear: {}", y);
  parallel_ranges(y.bytes(), bytes_per_task, [&](int64_t begin, int64_t end) {
    std::memset(y.data + begin, 0, static_cast<size_t>(end - begin));
  });
}

void silu_mul_forward(const Tensor& h, const Tensor& gate_up, const Tensor& weights) {
  const MemoryScope scope("silu", {h, gate_up});
  const int64_t n = h.columns();
  expect_rows(gate_up, h.rows(), 2 * n, "silu_mul_forward gate_up");
  if (weights) expect_rows(weights, h.rows(), 1, "silu_mul_forward weights");
  parallel_ranges(h.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer in(2 * n), out(n);
    for (int64_t row = begin; row < end; ++row) {
      const float* gate = in.load(gate_up, row);
      float* product = out.target(h, row);
      ops.silu_mul(product, gate, gate + n, n);
      if (weights) ops.scale(product, *weights.row<float>(row), n);
      out.store(h, row);
    }
  });
}

// With h = w·silu(gate)⊙up and dup before w, dw = Σ dh⊙silu(gate)⊙up = Σ dup⊙up.
void silu_mul_backward(const Tensor& dgate_up, const Tensor& dh, const Tensor& gate_up,
                       const Tensor& weights, const Tensor& dweights) {
  const MemoryScope scope("silu backward", {dgate_up, dh, gate_up});
  const int64_t n = dh.columns();
  expect_rows(gate_up, dh.rows(), 2 * n, "silu_mul_backward gate_up");
  expect_rows(dgate_up, dh.rows(), 2 * n, "silu_mul_backward dgate_up");
  if (weights) {
    expect_rows(weights, dh.rows(), 1, "silu_mul_backward weights");
    expect_rows(dweights, dh.rows(), 1, "silu_mul_backward dweights");
  }
  parallel_ranges(dh.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer in(2 * n), gradient(n), out(2 * n);
    for (int64_t row = begin; row < end; ++row) {
      const float* gate = in.load(gate_up, row);
      float* dgate = out.target(dgate_up, row);
      ops.silu_mul_gradient(dgate, dgate + n, gradient.load(dh, row), gate, gate + n, n);
      if (weights) {
        *dweights.row<float>(row) = ops.dot(dgate + n, gate + n, n);
        ops.scale(dgate, *weights.row<float>(row), 2 * n);
      }
      out.store(dgate_up, row);
    }
  });
}

void convert(const Tensor& y, const Tensor& x) {
  const MemoryScope scope("copy", {y, x});
  const int64_t n = x.columns();
  expect_rows(y, x.rows(), n, "convert");
  parallel_ranges(x.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    RowBuffer buffer(n);
    for (int64_t row = begin; row < end; ++row) {
      const float* in = buffer.load(x, row);
      float* out = buffer.target(y, row);
      if (out != in) std::copy(in, in + n, out);
      buffer.store(y, row);
    }
  });
}

void broadcast_row(const Tensor& y, const Tensor& row, bool accumulate) {
  const MemoryScope scope("bias", {y});
  const int64_t n = y.columns();
  expect_rows(y, y.rows(), n, "broadcast_row");
  require(row.rank == 1 && row.size() == n, "broadcast_row: {} to {}", row, y);
  parallel_ranges(y.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer buffer(n);
    for (int64_t i = begin; i < end; ++i) {
      float* out = buffer.target(y, i);
      if (accumulate) {
        buffer.load(y, i);
        ops.add_scaled(out, row.as<float>(), 1.0f, n);
      } else {
        std::copy_n(row.as<float>(), n, out);
      }
      buffer.store(y, i);
    }
  });
}

void sum_rows(const Tensor& sum, const Tensor& x) {
  const MemoryScope scope("bias backward", {x});
  // Rows that one task adds up; fixed, so that the order does not depend on the number of threads.
  constexpr int64_t rows_per_partial = 64;
  const int64_t n = x.columns(), rows = x.rows();
  expect_rows(x, rows, n, "sum_rows");
  require(sum.rank == 1 && sum.size() == n, "sum_rows: {} from {}", sum, x);
  const int64_t partials = (rows + rows_per_partial - 1) / rows_per_partial;
  std::vector<float> sums(static_cast<size_t>(partials * n));
  parallel_ranges(rows, rows_per_partial, [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer buffer(n);
    float* part = sums.data() + begin / rows_per_partial * n;
    for (int64_t i = begin; i < end; ++i) ops.add_scaled(part, buffer.load(x, i), 1.0f, n);
  });
  for (int64_t i = 0; i < partials; ++i)
    row_ops().add_scaled(sum.as<float>(), sums.data() + i * n, 1.0f, n);
}

void sum_heads(const Tensor& y, const Tensor& x) {
  const MemoryScope scope("sum of heads", {y, x});
  require(x.rank == 3 && x.contiguous(), "sum_heads: x {}", x);
  const int64_t heads = x.shape[1], n = x.shape[2];
  expect_rows(y, x.rows(), n, "sum_heads");
  parallel_ranges(x.rows(), rows_per_task(heads * n), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer in(heads * n), out(n);
    for (int64_t row = begin; row < end; ++row) {
      const float* parts = in.load(x, row);
      float* sum = out.target(y, row);
      std::fill(sum, sum + n, 0.0f);
      for (int64_t head = 0; head < heads; ++head) ops.add_scaled(sum, parts + head * n, 1.0f, n);
      out.store(y, row);
    }
  });
}

}  // namespace minke
