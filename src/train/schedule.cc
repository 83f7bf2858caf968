#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace minke {
namespace {

// From 1 to `last` along half a cosine as x goes from 0 to 1.
double cosine_factor(double x, double last) {
  return last + 0.5 * (1.0 - last) * (1.0 + std::cos(std::numbers::pi * std::clamp(x, 0.0, 1.0)));
}

double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 1.0;
}

}  // namespace

double learning_rate_factor(const ScheduleConfig& s, int64_t tokens, int64_t total_tokens) {
  if (tokens < s.warmup_tokens) return ratio(tokens, s.warmup_tokens);
  switch (s.kind) {
    case ScheduleKind::constant:
      return 1.0;
    case ScheduleKind::cosine:
      return cosine_factor(ratio(tokens - s.warmup_tokens, total_tokens - s.warmup_tokens),
                           s.final_factor);
    case ScheduleKind::wsd: {
      const int64_t start = total_tokens - s.decay_tokens;
      if (tokens < start) return 1.0;
      const double x = std::min(1.0, ratio(tokens - start, s.decay_tokens));
      return 1.0 + x * (s.final_factor - 1.0);
    }
    case ScheduleKind::deepseek_v3:
      if (tokens >= total_tokens - s.last_tokens) return s.last_factor;
      if (tokens < s.decay_start_tokens) return 1.0;
      return cosine_factor(ratio(tokens - s.decay_start_tokens, s.decay_tokens), s.final_factor);
  }
  return 1.0;
}

double linear_factor(int64_t warmup_steps, double final_factor, int64_t step, int64_t steps) {
  const double rise = warmup_steps > 0 ? std::min(1.0, ratio(step + 1, warmup_steps)) : 1.0;
  const double done = steps > 1 ? ratio(step, steps - 1) : 0.0;
  return rise * (1.0 + (final_factor - 1.0) * done);
}

int64_t batch_sequences(const BatchConfig& batch, int64_t tokens) {
  if (batch.initial_sequences == 0 || tokens >= batch.ramp_tokens) return batch.sequences;
  const double grown = batch.initial_sequences + ratio(tokens, batch.ramp_tokens) *
                                                     (batch.sequences - batch.initial_sequences);
  const int64_t micro_batches = static_cast<int64_t>(grown) / batch.micro_batch;
  return std::min(batch.sequences, std::max<int64_t>(1, micro_batches) * batch.micro_batch);
}

double mtp_lambda(const BalanceConfig& balance, int64_t tokens) {
  const bool late = balance.mtp_late_tokens > 0 && tokens >= balance.mtp_late_tokens;
  return late ? balance.mtp_lambda_late : balance.mtp_lambda;
}

double bias_update_speed(const BalanceConfig& balance, int64_t tokens, int64_t total_tokens) {
  const bool frozen = tokens >= total_tokens - balance.bias_freeze_tokens;
  return frozen ? 0.0 : balance.bias_update_speed;
}

}  // namespace minke
