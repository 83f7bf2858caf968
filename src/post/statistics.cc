#include "post/statistics.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "post/answer.h"

namespace minke {

double pass_at_k(int64_t n, int64_t c, int64_t k) {
  require(k >= 1 && k <= n && c >= 0 && c <= n, "pass@{} of {} samples, {} right", k, n, c);
  double none = 1;  // the chance that k of the n are all wrong
  for (int64_t i = 0; i < k; ++i)
    none *= std::max(0.0, static_cast<double>(n - c - i) / static_cast<double>(n - i));
  return 1 - none;
}

Interval bootstrap_mean(std::span<const double> values, int64_t resamples, uint64_t seed) {
  require(!values.empty() && resamples > 0, "a bootstrap of {} values", values.size());
  constexpr double tail = 0.025;
  Random random(seed, hash_name("bootstrap"));
  std::vector<double> means(static_cast<size_t>(resamples));
  for (double& mean : means) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += values[random.below(values.size())];
    mean = sum / static_cast<double>(values.size());
  }
  std::sort(means.begin(), means.end());
  const auto at = [&](double share) {
    return means[static_cast<size_t>(share * static_cast<double>(means.size() - 1))];
  };
  return {at(tail), at(1 - tail)};
}

int64_t majority_vote(std::span<const std::string> answers) {
  int64_t best = -1, most = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const int64_t votes = std::count_if(answers.begin(), answers.end(), [&](const std::string& a) {
      return same_answer(a, answers[i]);
    });
    if (votes <= most) continue;
    most = votes;
    best = static_cast<int64_t>(i);
  }
  return best;
}

}  // namespace minke
