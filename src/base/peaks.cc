#include "base/peaks.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/machine.h"

namespace minke {
namespace {

// Raised when the measurement changes, so that older files are not taken for its result.
constexpr int version = 1;

std::string as_file_name(std::string text) {
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '-';
  return text;
}

std::string key_of(const UnitPeak& unit) { return unit.dtype + "." + unit.isa; }

// One line "key=value"; false if it is none.
bool read_line(const std::string& line, Peaks& peaks) {
  const size_t equals = line.find('=');
  if (equals == std::string::npos) return false;
  const std::string key = line.substr(0, equals);
  const double value = std::strtod(line.c_str() + equals + 1, nullptr);
  if (!(value > 0)) return false;
  const size_t dot = key.find('.');
  if (key == "version") return value == version;
  if (key == "threads")
    peaks.threads = static_cast<int>(value);
  else if (key == "clock_hz")
    peaks.clock_hz = value;
  else if (key == "memory_bytes_per_second")
    peaks.memory_bytes_per_second = value;
  else if (dot != std::string::npos)
    peaks.units.push_back({key.substr(0, dot), key.substr(dot + 1), value});
  return true;
}

}  // namespace

double Peaks::best(const std::string& dtype) const {
  double most = 0;
  for (const UnitPeak& unit : units)
    if (unit.dtype == dtype) most = std::max(most, unit.operations_per_second);
  return most;
}

double Peaks::of(const std::string& dtype, const std::string& isa) const {
  for (const UnitPeak& unit : units)
    if (unit.dtype == dtype && unit.isa == isa) return unit.operations_per_second;
  return 0;
}

std::string peaks_path(int threads) {
  return fmt::format("{}/peaks-{}-{}.txt", cache_folder(), as_file_name(machine().cpu_name),
                     threads);
}

std::optional<Peaks> load_peaks(int threads) {
  const std::string path = peaks_path(threads);
  if (!fs::exists(path)) return {};
  Peaks peaks;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);)
    if (!read_line(line, peaks)) return {};
  const bool whole = peaks.threads == threads && peaks.clock_hz > 0 &&
                     peaks.memory_bytes_per_second > 0 && peaks.best("f32") > 0;
  return whole ? std::optional(peaks) : std::nullopt;
}

void store_peaks(const Peaks& peaks) {
  std::string text =
      fmt::format("version={}\nthreads={}\nclock_hz={:.6g}\nmemory_bytes_per_second={:.6g}\n",
                  version, peaks.threads, peaks.clock_hz, peaks.memory_bytes_per_second);
  for (const UnitPeak& unit : peaks.units)
    text += fmt::format("{}={:.6g}\n", key_of(unit), unit.operations_per_second);
  write_file(peaks_path(peaks.threads), text);
}

}  // namespace minke
