#include "infer/draft_policy.h"

namespace minke {
namespace {

constexpr int64_t trial_steps = 16;
constexpr int64_t kept_steps = 512;

}  // namespace

void DraftPolicy::record(double seconds, int64_t tokens) {
  Rate& rate = drafting_ ? with_ : without_;
  rate.seconds += seconds;
  rate.tokens += tokens;
  ++steps_;
  if (phase_ == Phase::try_with && steps_ == trial_steps) {
    phase_ = Phase::try_without;
    drafting_ = false;
    without_ = {};
    steps_ = 0;
  } else if (phase_ == Phase::try_without && steps_ == trial_steps) {
    phase_ = Phase::keep;
    drafting_ = speed_up() > 1;
    steps_ = 0;
  } else if (phase_ == Phase::keep && steps_ == kept_steps) {
    phase_ = Phase::try_with;
    drafting_ = true;
    with_ = {};
    steps_ = 0;
  }
}

double DraftPolicy::speed_up() const {
  return without_.value() > 0 ? with_.value() / without_.value() : 0;
}

}  // namespace minke
