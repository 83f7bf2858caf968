#include "config/recipe_checks.h"

#include "config/train_fields.h"

namespace minke {

void check_optimizer(const OptimizerConfig& optimizer, const std::string& where) {
  if (optimizer.moment_dtype != "f32" && optimizer.moment_dtype != "bf16")
    fail_usage("{}: optimizer.moment_dtype is \"{}\", expected f32 or bf16", where,
               optimizer.moment_dtype);
}

void check_schedule(const ScheduleConfig& schedule, const std::string& where) {
  const bool decays =
      schedule.kind == ScheduleKind::wsd || schedule.kind == ScheduleKind::deepseek_v3;
  if (decays && schedule.decay_tokens == 0)
    fail_usage("{}: schedule.decay_tokens is missing, how long schedule.kind = \"{}\" decays",
               where, enum_name(schedule.kind));
}

}  // namespace minke
