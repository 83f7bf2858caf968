#include "kernels/experts.h"

#include <algorithm>

#include "base/threads.h"
#include "kernels/profile.h"
#include "kernels/rows.h"

namespace minke {

ExpertRoute allocate_route(Arena& arena, int64_t tokens, int64_t top_k, int64_t experts) {
  return {arena.allocate(DType::i32, {tokens * top_k}), arena.allocate(DType::i32, {tokens, top_k}),
          std::vector<int64_t>(static_cast<size_t>(experts) + 1)};
}

// A counting sort, which is stable: rows of one expert keep the order of their tokens.
void route_tokens(ExpertRoute& route, const Tensor& indices) {
  const MemoryScope scope("route", {indices, route.row_of_slot, route.token_of_row});
  const int64_t tokens = indices.rows(), top_k = indices.columns();
  expect_rows(route.row_of_slot, tokens, top_k, "route_tokens");
  const int64_t experts = static_cast<int64_t>(route.offsets.size()) - 1;
  std::fill(route.offsets.begin(), route.offsets.end(), 0);
  const int32_t* expert = indices.as<int32_t>();
  for (int64_t slot = 0; slot < tokens * top_k; ++slot) {
    require(expert[slot] >= 0 && expert[slot] < experts, "expert {} of {}", expert[slot], experts);
    ++route.offsets[expert[slot] + 1];
  }
  for (int64_t e = 0; e < experts; ++e) route.offsets[e + 1] += route.offsets[e];
  std::vector<int64_t> next(route.offsets.begin(), route.offsets.end() - 1);
  for (int64_t slot = 0; slot < tokens * top_k; ++slot) {
    const int64_t row = next[expert[slot]]++;
    route.token_of_row.as<int32_t>()[row] = static_cast<int32_t>(slot / top_k);
    route.row_of_slot.as<int32_t>()[slot] = static_cast<int32_t>(row);
  }
}

void gather_rows(const Tensor& rows, const Tensor& x, const ExpertRoute& route) {
  const MemoryScope scope("gather", {rows, rows});
  const int64_t n = x.columns();
  expect_rows(rows, route.token_of_row.size(), n, "gather_rows");
  require(rows.dtype == x.dtype, "gather_rows: {} from {}", rows, x);
  const size_t bytes = static_cast<size_t>(n * dtype_bytes(x.dtype));
  parallel_ranges(rows.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    const int32_t* token = route.token_of_row.as<int32_t>();
    for (int64_t row = begin; row < end; ++row)
      std::copy_n(x.slice_rows(token[row], token[row] + 1).data, bytes,
                  rows.slice_rows(row, row + 1).data);
  });
}

void gather_rows_backward(const Tensor& dx, const Tensor& drows, const ExpertRoute& route,
                          bool accumulate) {
  const MemoryScope scope("gather backward", {dx, drows});
  const int64_t n = dx.columns(), top_k = route.row_of_slot.columns();
  expect_rows(drows, route.token_of_row.size(), n, "gather_rows_backward");
  parallel_ranges(dx.rows(), rows_per_task(n * top_k), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer in(n), out(n);
    for (int64_t t = begin; t < end; ++t) {
      float* sum = out.target(dx, t);
      if (accumulate)
        out.load(dx, t);
      else
        std::fill_n(sum, n, 0.0f);
      for (int64_t k = 0; k < top_k; ++k)
        ops.add_scaled(sum, in.load(drows, route.row_of_slot.row<int32_t>(t)[k]), 1.0f, n);
      out.store(dx, t);
    }
  });
}

void combine_rows(const Tensor& y, const Tensor& rows, const Tensor& weights,
                  const ExpertRoute& route) {
  const MemoryScope scope("combine", {y, y, rows});
  const int64_t n = y.columns(), top_k = weights.columns();
  expect_rows(rows, route.token_of_row.size(), n, "combine_rows");
  parallel_ranges(y.rows(), rows_per_task(n * top_k), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer in(n), out(n);
    for (int64_t t = begin; t < end; ++t) {
      out.load(y, t);
      for (int64_t k = 0; k < top_k; ++k)
        ops.add_scaled(out.target(y, t), in.load(rows, route.row_of_slot.row<int32_t>(t)[k]),
                       weights.row<float>(t)[k], n);
      out.store(y, t);
    }
  });
}

void combine_rows_backward(const Tensor& drows, const Tensor& dweights, const Tensor& dy,
                           const Tensor& rows, const Tensor& weights, const ExpertRoute& route) {
  const MemoryScope scope("combine backward", {drows, rows, dy});
  const int64_t n = dy.columns(), top_k = weights.columns();
  expect_rows(drows, rows.rows(), n, "combine_rows_backward");
  parallel_ranges(dy.rows(), rows_per_task(n * top_k), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer gradient(n), in(n), out(n);
    for (int64_t t = begin; t < end; ++t) {
      const float* from = gradient.load(dy, t);
      for (int64_t k = 0; k < top_k; ++k) {
        const int64_t row = route.row_of_slot.row<int32_t>(t)[k];
        dweights.row<float>(t)[k] = ops.dot(from, in.load(rows, row), n);
        float* to = out.target(drows, row);
        std::fill_n(to, n, 0.0f);
        ops.add_scaled(to, from, weights.row<float>(t)[k], n);
        out.store(drows, row);
      }
    }
  });
}

}  // namespace minke
