#pragma once
// Whether drafting pays. Drafted tokens never change the text, only the time that it takes: a step
// that checks drafts takes longer and gives more tokens.

#include <cstdint>

namespace minke {

// Compares tokens per second with and without drafts: tries each for some steps, keeps the better
// one for many, and tries again. Not thread-safe.
class DraftPolicy {
 public:
  bool drafts() const { return drafting_; }
  // False for as long as drafts are left out for good: what drafting needs from every step may then
  // be left out too.
  bool keeps_up() const { return drafting_ || phase_ != Phase::keep; }
  // What a step of growing answers took and gave.
  void record(double seconds, int64_t tokens);
  // Tokens per second with drafts, against without; 0 before both have been tried.
  double speed_up() const;

 private:
  struct Rate {
    double seconds = 0;
    int64_t tokens = 0;
    double value() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
  };

  Rate with_, without_;  // of the last trial, and of the steps since for the one that was kept
  bool drafting_ = true;
  enum class Phase { try_with, try_without, keep } phase_ = Phase::try_with;
  int64_t steps_ = 0;  // of the phase
};

}  // namespace minke
