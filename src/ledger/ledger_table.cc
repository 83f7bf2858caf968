#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "ledger/ledger.h"

namespace minke {
namespace {

std::string duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

// 12345678 as "12,345,678".
std::string grouped(int64_t number) {
  const std::string digits = fmt::format("{}", number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

// With a decimal prefix and four significant digits: "1.234 TFLOP".
std::string scaled(double value, std::string_view unit) {
  constexpr std::array<const char*, 8> prefixes = {"", "k", "M", "G", "T", "P", "E", "Z"};
  size_t prefix = 0;
  for (; value >= 1000 && prefix + 1 < prefixes.size(); ++prefix) value /= 1000;
  return fmt::format("{:.4g} {}{}", value, prefixes[prefix], unit);
}

std::string memory(const Ledger& l) {
  const std::string used = scaled(static_cast<double>(l.peak_memory_bytes), "B");
  if (l.planned_memory_bytes == 0) return used;
  return fmt::format("{} of {} planned", used,
                     scaled(static_cast<double>(l.planned_memory_bytes), "B"));
}

std::string rate(const Ledger& l) {
  const std::string achieved = scaled(l.flops_per_second(), "FLOP/s");
  const auto fraction = l.fraction_of_peak();
  if (!fraction) return achieved;
  return fmt::format("{}, {:.1f} % of the measured peak", achieved, 100 * *fraction);
}

std::string energy(const Ledger& l) {
  if (!l.energy_joules) return "not reported by this machine";
  return fmt::format("{} ({:.4f} kWh)", scaled(*l.energy_joules, "J"), *l.energy_joules / 3.6e6);
}

std::string prices(const Ledger& l) {
  std::string text = fmt::format("{} per core-hour", l.prices.per_core_hour);
  if (l.gpus > 0) text += fmt::format(", {} per GPU-hour", l.prices.per_gpu_hour);
  return text + fmt::format(", {} per kWh ({})", l.prices.per_kwh, l.prices.currency);
}

std::string machine_line(const Ledger& l) {
  std::string text = fmt::format("{}, {} core{}", l.machine, l.cores, l.cores == 1 ? "" : "s");
  if (l.gpus > 0) text += fmt::format(", {} GPU{}", l.gpus, l.gpus == 1 ? "" : "s");
  return text;
}

std::string bill(const Ledger& l) {
  return fmt::format("{:.4f} {}{}", l.cost(), l.prices.currency,
                     l.energy_joules ? "" : ", energy not included");
}

// Evenly chosen points, the first and the last among them; all of those that were validated count
// before the others.
std::vector<LearningPoint> chosen_points(const Ledger& l) {
  constexpr size_t rows = 20;
  std::vector<LearningPoint> points;
  for (const LearningPoint& point : l.curve)
    if (point.bits_per_byte) points.push_back(point);
  if (points.size() < 2) points = l.curve;
  if (points.size() <= rows) return points;
  std::vector<LearningPoint> chosen;
  for (size_t i = 0; i < rows; ++i) chosen.push_back(points[i * (points.size() - 1) / (rows - 1)]);
  return chosen;
}

std::string curve_table(const Ledger& l) {
  std::string text = fmt::format("\n{:>8} {:>14} {:>13} {:>11} {:>13} {:>10}\n", "step", "tokens",
                                 "time", "train loss", "bits per byte", l.prices.currency);
  for (const LearningPoint& p : chosen_points(l))
    text += fmt::format("{:>8} {:>14} {:>13} {:>11.4f} {:>13} {:>10.4f}\n", p.step,
                        grouped(p.tokens), duration(p.seconds), p.train_loss,
                        p.bits_per_byte ? fmt::format("{:.4f}", *p.bits_per_byte) : "-", p.cost);
  return text;
}

}  // namespace

std::string ledger_table(const Ledger& l) {
  const auto known = [](const std::string& text) { return text.empty() ? "-" : text; };
  const std::vector<std::pair<const char*, std::string>> rows = {
      {"run", known(l.name)},
      {"machine", machine_line(l)},
      {"wall time",
       fmt::format("{} in {} session{}, {} of it training", duration(l.wall_seconds), l.sessions,
                   l.sessions == 1 ? "" : "s", duration(l.training_seconds))},
      {"CPU time", duration(l.cpu_seconds)},
      {"tokens", fmt::format("{} in {} steps, {:.0f} per second", grouped(l.tokens),
                             grouped(l.steps), l.tokens_per_second())},
      {"model FLOPs", scaled(l.model_flops, "FLOP")},
      {"rate", rate(l)},
      {"peak memory", memory(l)},
      {"energy", energy(l)},
      {"prices", prices(l)},
      {"bill", bill(l)},
      {"recipe sha256", known(l.recipe_sha256)},
      {"data sha256", known(l.data_sha256)},
      {"weights sha256", known(l.weights_sha256)},
      {"code", known(l.code_version)},
  };
  std::string text;
  for (const auto& [name, value] : rows) text += fmt::format("{:<15} {}\n", name, value);
  return l.curve.empty() ? text : text + curve_table(l);
}

}  // namespace minke
