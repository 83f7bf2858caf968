#include "bench/peak.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/machine.h"
#include "kernels/peak.h"

namespace minke {
namespace {

double per_cycle(const Peaks& peaks, const UnitPeak& unit) {
  const int cores = std::min(peaks.threads, machine().cores);
  return unit.operations_per_second / (peaks.clock_hz * cores);
}

void print_table(const Peaks& peaks) {
  fmt::print("{}, {} threads, {:.2f} GHz\n", machine().cpu_name, peaks.threads,
             peaks.clock_hz / 1e9);
  fmt::print("memory read  {:.1f} GB/s\n\n", peaks.memory_bytes_per_second / 1e9);
  fmt::print("{:6} {:12} {:>9} {:>22}\n", "dtype", "set", "Gop/s", "per cycle and core");
  for (const UnitPeak& unit : peaks.units)
    fmt::print("{:6} {:12} {:9.1f} {:22.1f}\n", unit.dtype, unit.isa,
               unit.operations_per_second / 1e9, per_cycle(peaks, unit));
}

void print_json(const Peaks& peaks) {
  nlohmann::ordered_json json = {{"cpu", machine().cpu_name},
                                 {"threads", peaks.threads},
                                 {"clock_hz", peaks.clock_hz},
                                 {"memory_bytes_per_second", peaks.memory_bytes_per_second},
                                 {"units", nlohmann::ordered_json::array()}};
  for (const UnitPeak& unit : peaks.units)
    json["units"].push_back({{"dtype", unit.dtype},
                             {"isa", unit.isa},
                             {"operations_per_second", unit.operations_per_second},
                             {"operations_per_cycle_and_core", per_cycle(peaks, unit)}});
  fmt::print("{}\n", json.dump(2));
}

}  // namespace

void bench_peak(bool json) {
  const Peaks peaks = measure_peaks();
  if (json)
    print_json(peaks);
  else
    print_table(peaks);
  store_peaks(peaks);
}

}  // namespace minke
