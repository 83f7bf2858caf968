#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace minke {
namespace {

int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

int32_t sample_token(std::span<const float> logits, const SamplingOptions& options,
                     Random& random) {
  if (std::any_of(logits.begin(), logits.end(), [](float x) { return std::isnan(x); }))
    fail(
        "the model's logits are not numbers; its weights are damaged, or too large for this dtype");
  if (options.temperature <= 0) return most_likely(logits);
  const double top = logits[most_likely(logits)];
  std::vector<double> weights;
  for (const float logit : logits) weights.push_back(std::exp((logit - top) / options.temperature));
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
  });
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double kept = 0;
  size_t count = 0;
  while (count < order.size() && (count == 0 || kept < options.top_p * total))
    kept += weights[order[count++]];
  double left = random.uniform() * kept;
  for (size_t i = 0; i < count; ++i) {
    left -= weights[order[i]];
    if (left < 0) return order[i];
  }
  return order[count - 1];
}

}  // namespace minke
