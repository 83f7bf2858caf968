#pragma once
// What a person sees of a run: one line of figures, redrawn on a terminal and written out in a log.

#include <optional>
#include <string>

#include "ledger/ledger.h"
#include "ledger/metrics.h"
#include "train/training.h"

namespace minke {

// Figures of one line; rates are since the last one.
struct Progress {
  const StepReport& report;
  const TrainPosition& position;
  int64_t total_tokens;
  double tokens_per_second;
  std::optional<double> fraction_of_peak;
  std::optional<double> bits_per_byte;  // the last measured
  double remaining_seconds;
  double cost;
  std::string currency;
};

std::string progress_line(const Progress& progress);
nlohmann::ordered_json progress_json(const Progress& progress);

// "1h02m", "3m12s", "45s".
std::string format_duration(double seconds);

}  // namespace minke
