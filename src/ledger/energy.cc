#include "ledger/energy.h"

#include <algorithm>
#include <fstream>

namespace minke {
namespace {

std::optional<int64_t> read_number(const fs::path& path) {
  int64_t value = 0;
  if (std::ifstream(path) >> value) return value;
  return std::nullopt;
}

// "intel-rapl:0" is a package; "intel-rapl:0:1" is a part of it, counted in it already.
bool is_package(const std::string& name) {
  return name.starts_with("intel-rapl:") && std::ranges::count(name, ':') == 1;
}

}  // namespace

EnergyMeter::EnergyMeter(const fs::path& powercap) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(powercap, ignored)) {
    if (!is_package(entry.path().filename().string())) continue;
    const auto value = read_number(entry.path() / "energy_uj");
    const auto range = read_number(entry.path() / "max_energy_range_uj");
    if (value && range) counters_.push_back({entry.path() / "energy_uj", *range, *value});
  }
}

std::optional<double> EnergyMeter::joules() {
  if (counters_.empty()) return std::nullopt;
  for (Counter& counter : counters_) {
    const auto value = read_number(counter.file);
    if (!value) return std::nullopt;
    int64_t gained = *value - counter.last;
    if (gained < 0) gained += counter.range;
    microjoules_ += static_cast<double>(gained);
    counter.last = *value;
  }
  return microjoules_ * 1e-6;
}

}  // namespace minke
