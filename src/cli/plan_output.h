#pragma once
// How `minke plan` shows its parts.

#include "plan/plan_tables.h"

namespace minke {

// Aligned tables for a terminal.
std::string plan_text(const std::vector<PlanPart>& parts);
std::string plan_json(const std::vector<PlanPart>& parts);

// What an HTML page's plots need beside the parts.
struct PlanPlots {
  std::vector<TrainingPlan> layouts;  // their memory as bars, their cost against tokens
  const MachineFile* machine = nullptr;
  const ModelShape* shape = nullptr;
  double tokens = 0;
};
std::string plan_html(const std::string& title, const std::vector<PlanPart>& parts,
                      const PlanPlots& plots);

}  // namespace minke
