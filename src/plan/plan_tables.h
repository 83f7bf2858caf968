#pragma once
// Plans as plain rows for a person and as JSON for a program.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plan/local_plan.h"
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
// The three best layouts with memory, step and bill; or what is missing.
PlanPart training_part(const TrainingSearch& search, const MachineFile& machine,
                       const TrainingJob& job);
// day: prices for the margin; none where its prices are 0.
PlanPart serving_part(const ServingPlan& plan, const MachineFile& machine,
                      const ServiceDay& prices);
PlanPart local_part(const TrainConfig& config, const LocalMemory& memory, int64_t process_bytes,
                    const LocalStep& step, int cores);
// Every efficiency with its value.
PlanPart assumptions_part(const MachineFile& machine);
// V3's bill and DeepSeek's day beside the planner's own predictions.
PlanPart published_part();

// 7.3 GFLOP, 1.20 GiB, 12 min: with three digits.
std::string decimal_text(double value, const std::string& unit);
std::string bytes_text(double bytes);
std::string hours_text(double hours);

}  // namespace minke
