#include "plan/units.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace minke {

std::string whole_text(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string dollars_text(double value) {
  return value < 1000 ? fmt::format("${:.3g}", value) : fmt::format("${}", whole_text(value));
}

std::string percent_text(double share) { return fmt::format("{:.1f} %", 100 * share); }
std::string gibibytes_text(double bytes) { return fmt::format("{:.1f}", bytes / 0x1p30); }

std::string decimal_text(double value, const std::string& unit) {
  constexpr std::array<const char*, 7> prefixes = {"", "K", "M", "G", "T", "P", "E"};
  size_t prefix = 0;
  for (; value >= 1000 && prefix + 1 < prefixes.size(); ++prefix) value /= 1000;
  return fmt::format("{:.4g} {}{}", value, prefixes[prefix], unit);
}

std::string bytes_text(double bytes) {
  constexpr std::array<const char*, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < units.size(); ++unit) bytes /= 1024;
  return fmt::format("{:.4g} {}", bytes, units[unit]);
}

std::string hours_text(double hours) {
  if (hours < 1.0 / 60) return fmt::format("{:.3g} s", hours * 3600);
  if (hours < 1) return fmt::format("{:.3g} min", hours * 60);
  if (hours < 72) return fmt::format("{:.3g} h", hours);
  return fmt::format("{:.4g} days", hours / 24);
}

}  // namespace minke
