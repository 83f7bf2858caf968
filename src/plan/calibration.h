#pragma once
// How much slower than predicted training and serving really were on this machine: kept beside its
// measured peaks.

#include <string>

namespace minke {

// Factors are what was measured by what was predicted.
struct Calibration {
  std::string run;             // that training was measured with; "": not yet
  double step_factor = 1.0;    // seconds of a step
  double memory_factor = 1.0;  // peak memory
  std::string model;           // that serving was measured with; "": not yet
  double prompt_factor = 1.0, generation_factor = 1.0;  // seconds
};

// In the cache folder, one for each number of threads.
std::string calibration_path(int threads);
// Without factors where there is no file, or where it is damaged.
Calibration load_calibration(int threads);
// Error if the file cannot be written.
void store_calibration(const Calibration& calibration, int threads);

}  // namespace minke
