#pragma once
// What samples say about a model, and how sure one can be. Pure functions.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace minke {

// The unbiased estimate of the chance that at least one of k samples is right, from n samples of
// which c were: 1 - C(n - c, k) / C(n, k) (Chen et al. 2021, equation 1). 1 <= k <= n, 0 <= c <= n.
double pass_at_k(int64_t n, int64_t c, int64_t k);

struct Interval {
  double low = 0, high = 0;
};

// The middle 95 % of the means of `resamples` draws, with replacement, of as many values: problems
// are drawn, so that samples of one problem stay together. The same for the same seed.
Interval bootstrap_mean(std::span<const double> values, int64_t resamples, uint64_t seed);

// The answer given most often; of equals the one given first. Empty answers have no vote. Returns
// the index of its first sample, or -1 where nobody votes. Numbers are compared by value.
int64_t majority_vote(std::span<const std::string> answers);

}  // namespace minke
