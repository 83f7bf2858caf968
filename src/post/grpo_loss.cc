#include "post/grpo_loss.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace minke {
namespace {

// A value and its derivative with respect to log π.
struct Term {
  double value, gradient;
};

// −min(ρA, clip(ρ)A).
Term policy_term(double ratio, double advantage, const GrpoLossConfig& options) {
  const double bounded = std::clamp(ratio, 1.0 - options.clip_low, 1.0 + options.clip_high);
  const bool clipped = bounded * advantage < ratio * advantage;
  if (clipped) return {-bounded * advantage, 0.0};
  return {-ratio * advantage, -ratio * advantage};
}

// k3 = e^d − d − 1 with d = log π_ref − log π (Schulman 2020).
Term kl_term(double log_reference, double log_pi, double ratio, bool unbiased) {
  const double d = log_reference - log_pi, k3 = std::expm1(d) - d;
  return unbiased ? Term{ratio * k3, -ratio * d} : Term{k3, -std::expm1(d)};
}

}  // namespace

std::vector<double> group_advantages(std::span<const double> rewards, AdvantageScale scale) {
  constexpr double epsilon = 1e-6;
  std::vector<double> advantages(rewards.size(), 0.0);
  const bool equal = std::all_of(rewards.begin(), rewards.end(),
                                 [&](double reward) { return reward == rewards[0]; });
  if (equal) return advantages;
  const double count = static_cast<double>(rewards.size());
  double mean = 0.0, squares = 0.0;
  for (const double reward : rewards) mean += reward / count;
  for (const double reward : rewards) squares += (reward - mean) * (reward - mean);
  const double divisor =
      scale == AdvantageScale::deviation ? std::sqrt(squares / (count - 1.0)) + epsilon : 1.0;
  for (size_t i = 0; i < rewards.size(); ++i) advantages[i] = (rewards[i] - mean) / divisor;
  return advantages;
}

bool is_off_policy(const GrpoLossConfig& options, const GrpoSequence& sequence,
                   std::span<const float> log_pi) {
  if (options.off_policy_threshold <= 0 || sequence.advantage >= 0 || log_pi.empty()) return false;
  const auto& before = sequence.rollout.empty() ? sequence.old : sequence.rollout;
  double sum = 0.0;
  for (size_t t = 0; t < log_pi.size(); ++t) sum += static_cast<double>(before[t]) - log_pi[t];
  return sum / static_cast<double>(log_pi.size()) > options.off_policy_threshold;
}

GrpoLoss::GrpoLoss(const GrpoLossConfig& options, double constant_length,
                   const GrpoCounts& minibatch)
    : options_(options),
      constant_length_(constant_length),
      answers_(static_cast<double>(minibatch.answers)),
      tokens_(static_cast<double>(minibatch.tokens)) {}

double GrpoLoss::token_weight(const GrpoSequence& sequence) const {
  switch (options_.normalization) {
    case LossNormalization::sequence:
      return 1.0 / (answers_ * static_cast<double>(sequence.tokens()));
    case LossNormalization::token:
      return 1.0 / tokens_;
    case LossNormalization::constant:
      return 1.0 / (answers_ * constant_length_);
  }
  fail("unknown normalisation of the loss");
}

double GrpoLoss::token(const GrpoSequence& sequence, int64_t t, double log_pi,
                       GrpoSums& sums) const {
  if (sequence.filtered) return 0.0;
  const double old = sequence.old[t], ratio = std::exp(log_pi - old);
  Term total{0.0, 0.0};
  if (!sequence.masked) {
    total = policy_term(ratio, sequence.advantage, options_);
    sums.clipped += sequence.advantage != 0 && total.gradient == 0;
  }
  if (!sequence.rollout.empty()) {
    const double drift = old - sequence.rollout[t], importance = std::exp(drift);
    sums.drift += std::abs(drift);
    sums.largest_drift = std::max(sums.largest_drift, std::abs(drift));
    const double correction = std::min(importance, options_.importance_cap);
    sums.capped += correction < importance;
    total = {total.value * correction, total.gradient * correction};
  }
  const double beta = options_.kl_coefficient;
  if (beta > 0) {
    const Term kl = kl_term(sequence.reference[t], log_pi, ratio, options_.unbiased_kl);
    total = {total.value + beta * kl.value, total.gradient + beta * kl.gradient};
    sums.kl += kl.value;
  }
  const double weight = token_weight(sequence);
  sums.loss += weight * total.value;
  ++sums.tokens;
  return weight * total.gradient;
}

}  // namespace minke
