#include "kernels/loss.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "kernels/profile.h"
#include "kernels/rows.h"

namespace minke {

void embedding_forward(const Tensor& y, const Tensor& table, const Tensor& ids) {
  const MemoryScope scope("look-up", {y, y});
  const int64_t n = table.columns();
  expect_rows(y, ids.size(), n, "embedding_forward");
  parallel_ranges(y.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    RowBuffer out(n);
    for (int64_t t = begin; t < end; ++t) {
      const int32_t id = ids.as<int32_t>()[t];
      if (id < 0 || id >= table.rows())
        fail("token id {} at position {}: the model's vocabulary has {} entries", id, t,
             table.rows());
      std::copy_n(table.row<float>(id), n, out.target(y, t));
      out.store(y, t);
    }
  });
}

// A task owns a range of columns and walks all tokens, so that rows which share a token id are
// added in the order of the tokens whatever the number of threads.
void embedding_backward(const Tensor& dtable, const Tensor& dy, const Tensor& ids) {
  const MemoryScope scope("look-up backward", {dy, dy, dy});
  constexpr int64_t columns_per_task = 64;
  const int64_t n = dtable.columns();
  expect_rows(dy, ids.size(), n, "embedding_backward");
  parallel_ranges(n, columns_per_task, [&](int64_t begin, int64_t end) {
    const Tensor gradient = dy.slice_last(begin, end);
    const RowOps& ops = row_ops();
    RowBuffer in(end - begin);
    for (int64_t t = 0; t < dy.rows(); ++t)
      ops.add_scaled(dtable.row<float>(ids.as<int32_t>()[t]) + begin, in.load(gradient, t), 1.0f,
                     end - begin);
  });
}

void cross_entropy(const Tensor& losses, const Tensor& dlogits, const Tensor& logits,
                   const Tensor& targets, float gradient_scale) {
  const MemoryScope scope("cross-entropy", {logits, dlogits});
  const int64_t n = logits.columns();
  require(losses.size() == logits.rows() && targets.size() == logits.rows(),
          "cross_entropy: losses {}, targets {}, logits {}", losses, targets, logits);
  parallel_ranges(logits.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer out(dlogits ? n : 0);
    for (int64_t t = begin; t < end; ++t) {
      const float* row = logits.row<float>(t);
      const int32_t target = targets.as<int32_t>()[t];
      require(target < n, "target {} of {}", target, n);
      const float top = ops.max(row, n);
      const float log_sum = top + std::log(ops.sum_exp(row, top, n));
      losses.as<float>()[t] = target < 0 ? 0.0f : log_sum - row[target];
      if (!dlogits) continue;
      const float scale = target < 0 ? 0.0f : gradient_scale;
      float* gradient = out.target(dlogits, t);
      ops.exp_scaled(gradient, row, log_sum, scale, n);
      if (target >= 0) gradient[target] -= scale;
      out.store(dlogits, t);
    }
  });
}

}  // namespace minke
