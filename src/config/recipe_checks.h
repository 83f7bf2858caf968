#pragma once
// What several kinds of recipes must hold.

#include <string>

#include "config/train_config.h"

namespace minke {

// Usage Errors: a dtype that moments do not have, and a schedule that lacks what its kind needs.
void check_optimizer(const OptimizerConfig& optimizer, const std::string& where);
void check_schedule(const ScheduleConfig& schedule, const std::string& where);

}  // namespace minke
