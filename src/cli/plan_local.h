#pragma once
// Plans for this machine, with its measured peaks and its calibration.

#include "cli/plan_model.h"
#include "config/train_config.h"
#include "plan/plan_tables.h"

namespace minke {

// A recipe's training.
PlanPart plan_local_training(const TrainConfig& config);

// A model's service. job: its tokens are of positive number. core_hour: price of a core for an
// hour.
PlanPart plan_local_service(const PlannedModel& model, const LocalServingJob& job, double core_hour,
                            const ServiceDay& prices);

// Compares what was measured with the plan and keeps the factors for later plans: of a run's
// folder, training's; of a file with what `minke generate --json` printed, serving's.
void calibrate(const std::string& measured, bool json);

}  // namespace minke
