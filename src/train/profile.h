#pragma once
// Where a training step's time goes, as a table that adds up to it.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/peaks.h"
#include "base/profile.h"

namespace minke {

// Collects the profiles of steps. Not thread-safe.
class StepProfile {
 public:
  void begin_step() { start_profile(); }
  void end_step(double seconds);
  int64_t steps() const { return steps_; }

  // A line for each part and operation, longest first: milliseconds of a step, share of it, rate,
  // and the rate as a fraction of what limits the operation; then what no operation took. f32 and
  // bf16 products are compared with the measured peak of their dtype, the rest with the measured
  // memory rate, which what stays in the caches may exceed.
  std::string table(const Peaks& peaks) const;
  nlohmann::ordered_json json(const Peaks& peaks) const;

 private:
  std::vector<ProfileEntry> sorted() const;
  double outside() const;  // seconds of all steps in no operation

  std::vector<ProfileEntry> entries_;
  double seconds_ = 0;
  int64_t steps_ = 0;
};

}  // namespace minke
