#include "kernels/loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

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
  const int64_t ids_of_token = ids.size() / std::max<int64_t>(1, dy.rows());
  expect_rows(dy, ids.rows(), n, "embedding_backward");
  parallel_ranges(n, columns_per_task, [&](int64_t begin, int64_t end) {
    const Tensor gradient = dy.slice_last(begin, end);
    const RowOps& ops = row_ops();
    RowBuffer in(end - begin);
    for (int64_t t = 0; t < dy.rows(); ++t)
      for (int64_t i = t * ids_of_token; i < (t + 1) * ids_of_token; ++i)
        if (const int32_t id = ids.as<int32_t>()[i]; id >= 0)
          ops.add_scaled(dtable.row<float>(id) + begin, in.load(gradient, t), 1.0f, end - begin);
  });
}

namespace {

float weight_of(const Tensor& weights, int64_t t) {
  return weights ? weights.as<float>()[t] : 1.0f;
}

float log_sum_exp(const RowOps& ops, const float* row, int64_t n) {
  const float top = ops.max(row, n);
  return top + std::log(ops.sum_exp(row, top, n));
}

}  // namespace

void cross_entropy(const Tensor& losses, const Tensor& dlogits, const Tensor& logits,
                   const Tensor& targets, float gradient_scale, const Tensor& weights) {
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
      const float weight = target < 0 ? 0.0f : weight_of(weights, t);
      const float log_sum = log_sum_exp(ops, row, n);
      losses.as<float>()[t] = target < 0 ? 0.0f : weight * (log_sum - row[target]);
      if (!dlogits) continue;
      const float scale = weight * gradient_scale;
      float* gradient = out.target(dlogits, t);
      ops.exp_scaled(gradient, row, log_sum, scale, n);
      if (target >= 0) gradient[target] -= scale;
      out.store(dlogits, t);
    }
  });
}

void target_log_probabilities(const TargetProbabilities& out, const Tensor& logits,
                              const Tensor& targets) {
  const MemoryScope scope("log-probabilities", {logits});
  const int64_t n = logits.columns();
  parallel_ranges(logits.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    for (int64_t t = begin; t < end; ++t) {
      const float* row = logits.row<float>(t);
      const int32_t target = targets.as<int32_t>()[t];
      require(target >= 0 && target < n, "target {} of {}", target, n);
      const float log_sum = log_sum_exp(ops, row, n);
      out.log_sum.as<float>()[t] = log_sum;
      out.log_probability.as<float>()[t] = row[target] - log_sum;
    }
  });
}

void target_log_probabilities_backward(const Tensor& dlogits, const Tensor& logits,
                                       const Tensor& log_sum, const Tensor& targets,
                                       const Tensor& slope) {
  const MemoryScope scope("log-probabilities backward", {logits, dlogits});
  const int64_t n = logits.columns();
  parallel_ranges(logits.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    RowBuffer out(n);
    for (int64_t t = begin; t < end; ++t) {
      const float g = slope.as<float>()[t];
      float* gradient = out.target(dlogits, t);
      row_ops().exp_scaled(gradient, logits.row<float>(t), log_sum.as<float>()[t], -g, n);
      gradient[targets.as<int32_t>()[t]] += g;
      out.store(dlogits, t);
    }
  });
}

void reverse_kl(const Tensor& losses, const Tensor& dlogits, const Tensor& logits,
                const Tensor& teacher, float gradient_scale, const Tensor& weights) {
  const MemoryScope scope("reverse KL", {logits, teacher, dlogits});
  const int64_t n = logits.columns();
  require(teacher.columns() == n && teacher.rows() == logits.rows(),
          "reverse_kl: logits {}, the teacher's {}", logits, teacher);
  parallel_ranges(logits.rows(), rows_per_task(n), [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    RowBuffer out(dlogits ? n : 0);
    std::vector<float> p(static_cast<size_t>(n)), ratio(static_cast<size_t>(n));
    for (int64_t t = begin; t < end; ++t) {
      const float *row = logits.row<float>(t), *other = teacher.row<float>(t);
      const float log_sum = log_sum_exp(ops, row, n);
      const float shift = log_sum - log_sum_exp(ops, other, n);
      for (int64_t i = 0; i < n; ++i) ratio[i] = row[i] - other[i] - shift;  // log p − log q
      ops.exp_scaled(p.data(), row, log_sum, 1.0f, n);
      const float kl = ops.dot(p.data(), ratio.data(), n);
      const float weight = weight_of(weights, t);
      losses.as<float>()[t] = weight * kl;
      if (!dlogits) continue;
      for (float& x : ratio) x -= kl;
      ops.multiply(out.target(dlogits, t), p.data(), ratio.data(), weight * gradient_scale, n);
      out.store(dlogits, t);
    }
  });
}

void scale_logits(const Tensor& logits, float factor) {
  if (factor == 1.0f) return;
  parallel_ranges(logits.rows(), rows_per_task(logits.columns()), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t i = 0; i < logits.columns(); ++i) logits.row<float>(t)[i] *= factor;
  });
}

}  // namespace minke
