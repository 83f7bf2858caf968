#pragma once
// Plans as plain rows for a person and as JSON for a program.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plan/calibration.h"
#include "plan/local_serving.h"
#include "plan/published.h"

namespace minke {

struct PlanTable {
  std::string title;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::string note;  // below the table
};

struct PlanPart {
  std::string key;  // in the JSON
  std::vector<PlanTable> tables;
  nlohmann::ordered_json json;
};

// Parameters and FLOPs by part, bytes by dtype, cache.
PlanPart model_part(const ModelShape& shape, int64_t context);
nlohmann::ordered_json training_json(const TrainingPlan& plan);
// The three best layouts with memory, step and bill; or what is missing.
PlanPart training_part(const TrainingSearch& search, const MachineFile& machine,
                       const TrainingJob& job);
// day: prices for the margin; none where its prices are 0.
PlanPart serving_part(const ServingPlan& plan, const MachineFile& machine,
                      const ServiceDay& prices);
// A recipe on this machine: memory and where a step's time goes, with the calibration.
PlanPart local_part(const TrainConfig& config, const LocalMemory& memory, int64_t process_bytes,
                    const LocalStep& step, int cores, const Calibration& calibration);
// What the tensors of a model's files add up to.
PlanPart stored_part(const std::vector<FormatBytes>& formats);
// A model on this machine. prices: as for serving_part(). machine_bytes: memory that it grants.
PlanPart local_serving_part(const LocalServing& plan, const LocalServingMemory& memory,
                            const LocalServingJob& job, int threads, int64_t machine_bytes,
                            const ServiceDay& prices, const Calibration& calibration);
// Every efficiency with its value.
PlanPart assumptions_part(const MachineFile& machine);
// V3's bill and DeepSeek's day beside the planner's own predictions.
PlanPart published_part();

}  // namespace minke
