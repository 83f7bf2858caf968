#pragma once
// The loss of GRPO (DeepSeekMath, arXiv 2402.03300, section 4.1) as a function of log-probabilities
// alone, with the published refinements as settings: DAPO (2503.14476), Dr. GRPO (2503.20783),
// V3.2's stabilisers (2512.02556, section 3.1), truncated importance sampling for rollouts by
// another arithmetic.

#include <cstdint>
#include <span>
#include <vector>

#include "config/grpo_config.h"

namespace minke {

// A_i = (r_i − mean r) / (std r + 1e-6), of one prompt's answers; std: the sample's (n − 1), or no
// division at all. Rewards that are all equal, and a group of one, give exact zeros. Rewards must
// be finite.
std::vector<double> group_advantages(std::span<const double> rewards, AdvantageScale scale);

// One answer; an entry for each of its tokens, the one that ends it included.
struct GrpoSequence {
  double advantage = 0.0;
  bool filtered = false;         // overlong filtering: the answer counts for nothing
  bool masked = false;           // is_off_policy(): it has no policy term
  std::vector<float> old;        // log π_old, by the trainer's arithmetic
  std::vector<float> reference;  // log π_ref; may be empty if kl_coefficient is 0
  std::vector<float> rollout;    // log-probabilities as sampled; empty: the same as `old`

  int64_t tokens() const { return static_cast<int64_t>(old.size()); }
};

// Whether off-policy sequence masking takes the answer out of the policy term; log_pi: of all its
// tokens, by the weights that are about to be updated.
bool is_off_policy(const GrpoLossConfig& options, const GrpoSequence& sequence,
                   std::span<const float> log_pi);

// Sums over the tokens of answers that are not filtered.
struct GrpoSums {
  double loss = 0.0;  // divided as the normalisation says
  double kl = 0.0;    // the k3 estimate
  int64_t tokens = 0;
  int64_t clipped = 0;  // tokens whose policy term has no gradient because of the clip
  int64_t capped = 0;   // tokens whose correction for the rollout is importance_cap
  double drift = 0.0;   // |log π_old − log π_rollout|
  double largest_drift = 0.0;
};

// What a minibatch's loss is divided by: its answers, also those that nothing is learned from, and
// the tokens of all that are not filtered.
struct GrpoCounts {
  int64_t answers = 0, tokens = 0;

  void add(const GrpoSequence& sequence) {
    ++answers;
    if (!sequence.filtered) tokens += sequence.tokens();
  }
};

// The loss of one minibatch, token by token. Thread-safe.
class GrpoLoss {
 public:
  // constant_length: tokens that LossNormalization::constant divides by.
  GrpoLoss(const GrpoLossConfig& options, double constant_length, const GrpoCounts& minibatch);

  // Adds a token's part to `sums` and returns dLoss/dlog π; t: its place in the answer.
  double token(const GrpoSequence& sequence, int64_t t, double log_pi, GrpoSums& sums) const;

 private:
  double token_weight(const GrpoSequence& sequence) const;

  GrpoLossConfig options_;
  double constant_length_, answers_, tokens_;
};

}  // namespace minke
