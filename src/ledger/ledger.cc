#include "ledger/ledger.h"

#include <algorithm>

#include "base/machine.h"

namespace minke {
namespace {

constexpr double seconds_per_hour = 3600.0;
constexpr double joules_per_kwh = 3.6e6;

}  // namespace

double Ledger::tokens_per_second() const {
  return training_seconds > 0 ? static_cast<double>(tokens) / training_seconds : 0.0;
}

double Ledger::flops_per_second() const {
  return training_seconds > 0 ? model_flops / training_seconds : 0.0;
}

std::optional<double> Ledger::fraction_of_peak() const {
  if (!peak_flops || *peak_flops <= 0) return std::nullopt;
  return flops_per_second() / *peak_flops;
}

double Ledger::cost() const {
  return core_seconds / seconds_per_hour * prices.per_core_hour +
         wall_seconds / seconds_per_hour * static_cast<double>(gpus) * prices.per_gpu_hour +
         energy_joules.value_or(0.0) / joules_per_kwh * prices.per_kwh;
}

LedgerSession::LedgerSession(Ledger before)
    : ledger_(std::move(before)),
      energy_before_(ledger_.energy_joules),
      wall_before_(ledger_.wall_seconds),
      core_before_(ledger_.core_seconds),
      cpu_before_(ledger_.cpu_seconds),
      wall_start_(now_seconds()),
      cpu_start_(minke::cpu_seconds()) {
  // Energy is the whole run's or nobody's.
  if (ledger_.sessions == 0) energy_before_ = 0.0;
  ++ledger_.sessions;
  ledger_.machine = minke::machine().cpu_name;
  ledger_.cores = minke::machine().cores;
}

void LedgerSession::go_on_after(int64_t step) {
  std::erase_if(ledger_.curve, [&](const LearningPoint& point) { return point.step > step; });
}

Ledger& LedgerSession::update() {
  const double seconds = now_seconds() - wall_start_;
  ledger_.wall_seconds = wall_before_ + seconds;
  ledger_.core_seconds = core_before_ + seconds * static_cast<double>(ledger_.cores);
  ledger_.cpu_seconds = cpu_before_ + minke::cpu_seconds() - cpu_start_;
  ledger_.peak_memory_bytes = std::max(ledger_.peak_memory_bytes, peak_resident_bytes());
  const std::optional<double> joules = energy_.joules();
  ledger_.energy_joules.reset();
  if (joules && energy_before_) ledger_.energy_joules = *energy_before_ + *joules;
  return ledger_;
}

}  // namespace minke
