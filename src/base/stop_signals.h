#pragma once
// SIGINT and SIGTERM as a wish to stop, for work that saves before it ends.

namespace minke {

// While one lives, the first of these signals is only noted; a second one ends the program at once.
// One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  bool requested() const;
};

}  // namespace minke
