#include "kernels/optimizer.h"

#include <numeric>

#include "base/threads.h"
#include "kernels/profile.h"
#include "kernels/rows.h"

namespace minke {
namespace {
constexpr int64_t elements_per_task = 1 << 15;
constexpr int64_t elements_per_block = 1 << 10;  // of bf16 moments: widened on the way

// [begin, end) of a flat tensor as one row.
Tensor part(const Tensor& x, int64_t begin, int64_t end) {
  return x.reshape({1, x.size()}).slice_last(begin, end);
}
}  // namespace

void adamw_step(const Tensor& weight, const Tensor& m, const Tensor& v, const Tensor& gradient,
                float gradient_scale, const AdamwConstants& constants) {
  const MemoryScope scope("AdamW", {weight, weight, m, m, v, v, gradient});
  const int64_t size = weight.size();
  require(m.size() == size && v.size() == size && gradient.size() == size,
          "adamw_step: {} weights, {} and {} moments, {} gradients", size, m.size(), v.size(),
          gradient.size());
  parallel_ranges(size, elements_per_task, [&](int64_t first, int64_t last) {
    RowBuffer m_block(elements_per_block), v_block(elements_per_block);
    for (int64_t begin = first; begin < last; begin += elements_per_block) {
      const int64_t end = std::min(last, begin + elements_per_block);
      const Tensor m_part = part(m, begin, end), v_part = part(v, begin, end);
      m_block.load(m_part, 0);
      v_block.load(v_part, 0);
      row_ops().adamw(weight.as<float>() + begin, m_block.target(m_part, 0),
                      v_block.target(v_part, 0), gradient.as<float>() + begin, gradient_scale,
                      constants, end - begin);
      m_block.store(m_part, 0);
      v_block.store(v_part, 0);
    }
  });
}

double sum_of_squares(const Tensor& x) {
  const MemoryScope scope("norm of gradients", {x});
  const int64_t size = x.size(), tasks = (size + elements_per_task - 1) / elements_per_task;
  std::vector<double> sums(static_cast<size_t>(tasks));
  parallel_for(tasks, [&](int64_t task) {
    const int64_t begin = task * elements_per_task, end = std::min(size, begin + elements_per_task);
    for (int64_t i = begin; i < end; i += elements_per_block) {
      const float* block = x.as<float>() + i;
      sums[task] += row_ops().dot(block, block, std::min(elements_per_block, end - i));
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void blend(const Tensor& y, float a, const Tensor& x, float b) {
  const MemoryScope scope("blend", {y, y, x});
  require(y.size() == x.size(), "blend: {} and {}", y, x);
  parallel_ranges(y.size(), elements_per_task, [&](int64_t begin, int64_t end) {
    row_ops().blend(y.as<float>() + begin, a, x.as<float>() + begin, b, end - begin);
  });
}

}  // namespace minke
