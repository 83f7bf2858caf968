#include "train/progress.h"

#include <algorithm>
#include <cmath>

namespace minke {
namespace {

std::string with_commas(int64_t value) {
  std::string digits = std::to_string(value);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

}  // namespace

std::string format_duration(double seconds) {
  const int64_t total = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  if (total >= 3600) return fmt::format("{}h{:02}m", total / 3600, total / 60 % 60);
  if (total >= 60) return fmt::format("{}m{:02}s", total / 60, total % 60);
  return fmt::format("{}s", total);
}

std::string progress_line(const Progress& p) {
  std::string line = fmt::format("step {}  {:.1f} %  loss {:.3f}", p.position.step,
                                 100.0 * p.position.tokens / p.total_tokens, p.report.loss);
  for (const double loss : p.report.mtp_loss) line += fmt::format("  mtp {:.3f}", loss);
  if (p.bits_per_byte) line += fmt::format("  val {:.3f} bits/byte", *p.bits_per_byte);
  line += fmt::format("  {} tok/s", with_commas(static_cast<int64_t>(p.tokens_per_second)));
  if (p.fraction_of_peak) line += fmt::format(" ({:.0f} % of peak)", 100 * *p.fraction_of_peak);
  if (p.report.max_violation > 0)  // dense models have nothing to balance
    line += fmt::format("  MaxVio {:.2f}", p.report.max_violation);
  line += fmt::format("  norm {:.2f}", p.report.gradient_norm);
  return line + fmt::format("  {} left  {:.4f} {}", format_duration(p.remaining_seconds), p.cost,
                            p.currency);
}

nlohmann::ordered_json progress_json(const Progress& p) {
  nlohmann::ordered_json json = {{"step", p.position.step},
                                 {"tokens", p.position.tokens},
                                 {"loss", p.report.loss},
                                 {"mtp_loss", p.report.mtp_loss},
                                 {"balance_loss", p.report.balance_loss},
                                 {"gradient_norm", p.report.gradient_norm},
                                 {"learning_rate", p.report.learning_rate},
                                 {"max_violation", p.report.max_violation},
                                 {"tokens_per_second", p.tokens_per_second},
                                 {"skipped_steps", p.position.skipped},
                                 {"cost", p.cost}};
  if (p.fraction_of_peak) json["fraction_of_peak"] = *p.fraction_of_peak;
  if (p.bits_per_byte) json["bits_per_byte"] = *p.bits_per_byte;
  if (!p.report.expert_load.empty()) json["expert_load"] = p.report.expert_load;
  return json;
}

}  // namespace minke
