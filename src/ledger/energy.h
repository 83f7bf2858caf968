#pragma once
// The energy that the processor packages have used, where the machine reports it (RAPL).

#include <cstdint>
#include <optional>
#include <vector>

#include "base/files.h"

namespace minke {

// Adds up what the packages' counters have gained since construction. The counters wrap after some
// minutes under load, so joules() must be called more often than that. Not thread-safe.
class EnergyMeter {
 public:
  explicit EnergyMeter(const fs::path& powercap = "/sys/class/powercap");

  // Nothing when no counter can be read, which is usual for a virtual machine or without root.
  std::optional<double> joules();

 private:
  struct Counter {
    fs::path file;
    int64_t range, last;  // microjoules
  };
  std::vector<Counter> counters_;
  double microjoules_ = 0.0;
};

}  // namespace minke
