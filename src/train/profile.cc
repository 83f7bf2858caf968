#include "train/profile.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/peak.h"

namespace minke {
namespace {

double limit_of(const ProfileEntry& entry, const Peaks& peaks) {
  switch (entry.limit) {
    case ProfileLimit::memory:
      return peaks.memory_bytes_per_second;
    case ProfileLimit::f32:
      return measured_flops(peaks, DType::f32);
    case ProfileLimit::bf16:
      return measured_flops(peaks, DType::bf16);
    case ProfileLimit::int8:
      return peaks.best("int8");
  }
  return 0;
}

std::string_view unit_of(const ProfileEntry& entry) {
  constexpr std::string_view units[] = {"GB/s", "GFLOP/s f32", "GFLOP/s bf16", "GOP/s int8"};
  return units[static_cast<size_t>(entry.limit)];
}

double rate_of(const ProfileEntry& entry) { return entry.work / std::max(1e-12, entry.seconds); }

double fraction_of(const ProfileEntry& entry, const Peaks& peaks) {
  const double limit = limit_of(entry, peaks);
  return limit > 0 ? rate_of(entry) / limit : 0;
}

}  // namespace

void StepProfile::end_step(double seconds) {
  seconds_ += seconds;
  ++steps_;
  for (const ProfileEntry& entry : stop_profile()) {
    const auto same = std::find_if(entries_.begin(), entries_.end(), [&](const ProfileEntry& e) {
      return e.part == entry.part && e.operation == entry.operation && e.limit == entry.limit;
    });
    if (same == entries_.end()) {
      entries_.push_back(entry);
      continue;
    }
    same->calls += entry.calls;
    same->seconds += entry.seconds;
    same->work += entry.work;
  }
}

std::vector<ProfileEntry> StepProfile::sorted() const {
  std::vector<ProfileEntry> entries = entries_;
  std::sort(entries.begin(), entries.end(),
            [](const ProfileEntry& a, const ProfileEntry& b) { return a.seconds > b.seconds; });
  return entries;
}

double StepProfile::outside() const {
  double seconds = seconds_;
  for (const ProfileEntry& entry : entries_) seconds -= entry.seconds;
  return seconds;
}

std::string StepProfile::table(const Peaks& peaks) const {
  const double per_step = 1e3 / static_cast<double>(std::max<int64_t>(1, steps_));
  std::string text = fmt::format("{:18} {:20} {:>10} {:>7} {:>22} {:>9}\n", "part", "operation",
                                 "ms a step", "share", "rate", "of limit");
  const auto share = [&](double seconds) { return 100 * seconds / std::max(1e-12, seconds_); };
  for (const ProfileEntry& e : sorted())
    text += fmt::format("{:18} {:20} {:10.2f} {:6.1f}% {:9.1f} {:12} {:8.0f}%\n", e.part,
                        e.operation, e.seconds * per_step, share(e.seconds), rate_of(e) / 1e9,
                        unit_of(e), 100 * fraction_of(e, peaks));
  text += fmt::format("{:18} {:20} {:10.2f} {:6.1f}%\n", "between", "", outside() * per_step,
                      share(outside()));
  text += fmt::format("{:18} {:20} {:10.2f} {:6.1f}%\n", "a step", "", seconds_ * per_step, 100.0);
  return text;
}

nlohmann::ordered_json StepProfile::json(const Peaks& peaks) const {
  nlohmann::ordered_json operations = nlohmann::ordered_json::array();
  for (const ProfileEntry& e : sorted())
    operations.push_back({{"part", e.part},
                          {"operation", e.operation},
                          {"calls", e.calls},
                          {"seconds", e.seconds},
                          {"rate", rate_of(e)},
                          {"unit", unit_of(e)},
                          {"fraction_of_limit", fraction_of(e, peaks)}});
  return {{"steps", steps_},
          {"seconds", seconds_},
          {"seconds_between_operations", outside()},
          {"operations", std::move(operations)}};
}

}  // namespace minke
