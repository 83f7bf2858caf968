#include "kernels/gate.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "base/threads.h"
#include "kernels/profile.h"
#include "kernels/rows.h"

namespace minke {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();
constexpr int64_t tokens_per_task = 64;

void compute_scores(const RowOps& ops, float* scores, const float* logits, int64_t experts,
                    bool sigmoid) {
  if (sigmoid) return ops.sigmoid(scores, logits, experts);
  const float top = ops.max(logits, experts);
  ops.exp_scaled(scores, logits, top, 1.0f / ops.sum_exp(logits, top, experts), experts);
}

// The best or the sum of the two best of a group.
float group_score(const float* choice, int64_t size, bool top2) {
  float first = minus_infinity, second = minus_infinity;
  for (int64_t i = 0; i < size; ++i) {
    if (choice[i] > first) {
      second = first;
      first = choice[i];
    } else if (choice[i] > second) {
      second = choice[i];
    }
  }
  return top2 && size > 1 ? first + second : first;
}

// Indices of the `count` largest of `values`, best first; the lower index wins a tie.
void top_indices(std::vector<int32_t>& order, const float* values, int64_t size, int64_t count) {
  order.resize(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int32_t a, int32_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  });
}

// Experts of the groups that lose are put out of reach: minus infinity, as DeepSeek's own code
// does.
void mask_groups(std::vector<float>& choice, const GateOptions& o, std::vector<float>& group_scores,
                 std::vector<int32_t>& order) {
  const int64_t size = static_cast<int64_t>(choice.size()) / o.n_group;
  for (int64_t g = 0; g < o.n_group; ++g)
    group_scores[g] = group_score(choice.data() + g * size, size, o.group_by_top2);
  top_indices(order, group_scores.data(), o.n_group, o.n_group);
  for (int64_t place = o.topk_group; place < o.n_group; ++place)
    std::fill_n(choice.begin() + order[place] * size, size, minus_infinity);
}

void compute_weights(float* weights, const float* scores, const int32_t* chosen,
                     const GateOptions& o) {
  float sum = 0;
  for (int64_t k = 0; k < o.top_k; ++k) sum += scores[chosen[k]];
  const float factor = o.normalize ? o.scaling / (sum + 1e-20f) : o.scaling;
  for (int64_t k = 0; k < o.top_k; ++k) weights[k] = scores[chosen[k]] * factor;
}

// w_k = γ·s_k/Z: ds_k = (γ/Z)·(g_k − Σ g_j·s_j/Z); without normalisation ds_k = γ·g_k.
void weights_gradient(float* dscores, const float* dweights, const float* scores,
                      const int32_t* chosen, const GateOptions& o) {
  float sum = 1e-20f, mean = 0;
  for (int64_t k = 0; k < o.top_k; ++k) {
    sum += scores[chosen[k]];
    mean += dweights[k] * scores[chosen[k]];
  }
  for (int64_t k = 0; k < o.top_k; ++k)
    dscores[chosen[k]] +=
        o.normalize ? o.scaling / sum * (dweights[k] - mean / sum) : o.scaling * dweights[k];
}

// From the gradient of the scores to that of the logits, in place.
void scores_gradient(float* gradient, const float* scores, int64_t experts, bool sigmoid) {
  float mean = 0;
  for (int64_t i = 0; !sigmoid && i < experts; ++i) mean += gradient[i] * scores[i];
  for (int64_t i = 0; i < experts; ++i)
    gradient[i] =
        sigmoid ? gradient[i] * scores[i] * (1 - scores[i]) : scores[i] * (gradient[i] - mean);
}

}  // namespace

void gate_forward(const Tensor& scores, const Tensor& indices, const Tensor& weights,
                  const Tensor& logits, const Tensor& bias, const GateOptions& options) {
  const MemoryScope scope("gate", {scores, logits});
  const int64_t tokens = logits.rows(), experts = logits.columns();
  expect_rows(scores, tokens, experts, "gate_forward scores");
  expect_rows(indices, tokens, options.top_k, "gate_forward indices");
  expect_rows(weights, tokens, options.top_k, "gate_forward weights");
  parallel_ranges(tokens, tokens_per_task, [&](int64_t begin, int64_t end) {
    const RowOps& ops = row_ops();
    std::vector<float> choice(static_cast<size_t>(experts));
    std::vector<float> groups(static_cast<size_t>(options.n_group));
    std::vector<int32_t> order;
    for (int64_t t = begin; t < end; ++t) {
      float* score = scores.row<float>(t);
      compute_scores(ops, score, logits.row<float>(t), experts, options.sigmoid);
      std::copy(score, score + experts, choice.begin());
      if (bias) ops.add_scaled(choice.data(), bias.as<float>(), 1.0f, experts);
      if (options.n_group > 1) mask_groups(choice, options, groups, order);
      top_indices(order, choice.data(), experts, options.top_k);
      std::copy_n(order.begin(), options.top_k, indices.row<int32_t>(t));
      compute_weights(weights.row<float>(t), score, order.data(), options);
    }
  });
}

void gate_backward(const Tensor& dlogits, const Tensor& dweights, const Tensor& dscores,
                   const Tensor& scores, const Tensor& indices, const GateOptions& options) {
  const MemoryScope scope("gate backward", {dlogits, scores});
  const int64_t experts = scores.columns();
  expect_rows(dlogits, scores.rows(), experts, "gate_backward dlogits");
  parallel_ranges(scores.rows(), tokens_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* gradient = dlogits.row<float>(t);
      if (dscores)
        std::copy_n(dscores.row<float>(t), experts, gradient);
      else
        std::fill_n(gradient, experts, 0.0f);
      weights_gradient(gradient, dweights.row<float>(t), scores.row<float>(t),
                       indices.row<int32_t>(t), options);
      scores_gradient(gradient, scores.row<float>(t), experts, options.sigmoid);
    }
  });
}

double balance_loss(const Tensor& dscores, const Tensor& scores, const Tensor& indices,
                    std::span<const int64_t> bounds, double alpha, double gradient_scale) {
  const MemoryScope scope("balance loss", {dscores, scores});
  const int64_t experts = scores.columns(), top_k = indices.columns();
  require(bounds.size() > 1 && bounds.front() == 0 && bounds.back() == scores.rows(),
          "balance_loss: the sequences do not cover the {} rows", scores.rows());
  const int64_t sequences = static_cast<int64_t>(bounds.size()) - 1;
  std::vector<double> losses(static_cast<size_t>(sequences));
  parallel_for(sequences, [&](int64_t sequence) {
    const int64_t begin = bounds[sequence], end = bounds[sequence + 1], length = end - begin;
    std::vector<double> load(static_cast<size_t>(experts));
    for (int64_t t = begin; t < end; ++t)
      for (int64_t k = 0; k < top_k; ++k) load[indices.row<int32_t>(t)[k]] += 1;
    for (double& f : load) f *= static_cast<double>(experts) / (top_k * length);
    const double factor = alpha / length / sequences;
    for (int64_t t = begin; t < end; ++t) {
      const float* score = scores.row<float>(t);
      double sum = 1e-20, weighted = 0;
      for (int64_t i = 0; i < experts; ++i) {
        sum += score[i];
        weighted += load[i] * score[i];
      }
      losses[sequence] += factor * weighted / sum;
      for (int64_t i = 0; dscores && i < experts; ++i)
        dscores.row<float>(t)[i] =
            static_cast<float>(gradient_scale * factor / sum * (load[i] - weighted / sum));
    }
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace minke
