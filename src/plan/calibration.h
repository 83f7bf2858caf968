#pragma once
// How much slower than predicted this machine's training really was: kept beside its measured
// peaks.

#include <optional>
#include <string>

namespace minke {

struct Calibration {
  double step_factor = 1.0;    // measured seconds of a step by predicted ones
  double memory_factor = 1.0;  // measured peak memory by predicted
  std::string run;             // what it was measured with
};

// In the cache folder, one for each number of threads.
std::string calibration_path(int threads);
// Nothing where there is none, or where the file is damaged.
std::optional<Calibration> load_calibration(int threads);
// Error if the file cannot be written.
void store_calibration(const Calibration& calibration, int threads);

}  // namespace minke
