#include "plan/plan_tables.h"
#include "plan/units.h"

namespace minke {
namespace {

std::string seconds_text(double seconds) { return fmt::format("{:.3g}", seconds); }

PlanTable layout_table(const std::vector<TrainingPlan>& plans, const TrainingSearch& search,
                       const MachineFile& machine, const TrainingJob& job) {
  PlanTable table{
      fmt::format("Training on {} devices ({}), {} tokens in {}", job.devices, machine.spec.name,
                  decimal_text(job.tokens, ""), job.precision == Precision::fp8 ? "FP8" : "bf16"),
      {"layout", "tokens/s", "of peak", "time", "device hours", "cost", "limit"},
      {},
      search.smallest ? fmt::format("No layout fits: the smallest needs {} of {:.0f} GiB. The "
                                    "smallest change that would: {}.",
                                    bytes_text(search.smallest->memory.total()),
                                    machine.spec.memory_gib, search.remedy)
                      : fmt::format("The best of {} layouts.", search.tried)};
  for (const TrainingPlan& p : plans)
    table.rows.push_back(
        {layout_text(p), whole_text(p.tokens_per_second), percent_text(p.flops_fraction),
         hours_text(p.hours),
         p.device_hours < 100 ? fmt::format("{:.3g}", p.device_hours) : whole_text(p.device_hours),
         dollars_text(p.cost), p.limit});
  return table;
}

PlanTable step_table(const std::vector<TrainingPlan>& plans) {
  PlanTable table{"Where a step's time goes, seconds",
                  {"layout", "compute", "bubble", "all-to-all", "reduce", "optimiser", "step"},
                  {},
                  "All-to-all is what computation does not hide."};
  for (const TrainingPlan& p : plans)
    table.rows.push_back({layout_text(p), seconds_text(p.compute), seconds_text(p.bubble),
                          seconds_text(p.exposed), seconds_text(p.reduction),
                          seconds_text(p.optimizer), seconds_text(p.step_seconds)});
  return table;
}

PlanTable memory_table(const std::vector<TrainingPlan>& plans, double memory_gib) {
  PlanTable table{"Memory of the fullest device, GiB",
                  {"layout", "weights", "gradients", "optimiser", "activations", "buffers", "sum"},
                  {},
                  fmt::format("A device has {:.0f} GiB.", memory_gib)};
  for (const TrainingPlan& p : plans)
    table.rows.push_back({layout_text(p), gibibytes_text(p.memory.weights),
                          gibibytes_text(p.memory.gradients), gibibytes_text(p.memory.optimizer),
                          gibibytes_text(p.memory.activations), gibibytes_text(p.memory.buffers),
                          gibibytes_text(p.memory.total())});
  return table;
}

nlohmann::ordered_json memory_json(const RankMemory& memory) {
  return {{"weights", memory.weights},     {"gradients", memory.gradients},
          {"optimizer", memory.optimizer}, {"activations", memory.activations},
          {"buffers", memory.buffers},     {"total", memory.total()}};
}

}  // namespace

nlohmann::ordered_json training_json(const TrainingPlan& p) {
  return {{"layout", layout_text(p)},
          {"pipeline", p.layout.pipeline},
          {"experts", p.layout.experts},
          {"data_parallel", p.data_parallel},
          {"micro_batch", p.layout.micro_batch},
          {"micro_batches", p.micro_batches},
          {"recompute", p.layout.recompute},
          {"schedule", p.layout.schedule == Pipeline::dualpipe ? "dualpipe" : "1f1b"},
          {"memory_bytes", memory_json(p.memory)},
          {"step_seconds", p.step_seconds},
          {"compute_seconds", p.compute},
          {"bubble_seconds", p.bubble},
          {"exposed_all_to_all_seconds", p.exposed},
          {"all_to_all_seconds", p.all_to_all},
          {"reduction_seconds", p.reduction},
          {"optimizer_seconds", p.optimizer},
          {"stage_imbalance", p.imbalance},
          {"tokens_per_second", p.tokens_per_second},
          {"fraction_of_peak", p.flops_fraction},
          {"hours", p.hours},
          {"device_hours", p.device_hours},
          {"cost", p.cost},
          {"limit", p.limit}};
}

PlanPart training_part(const TrainingSearch& search, const MachineFile& machine,
                       const TrainingJob& job) {
  std::vector<TrainingPlan> plans = search.best;
  if (search.smallest) plans.push_back(*search.smallest);
  PlanPart part{"training",
                {layout_table(plans, search, machine, job), step_table(plans),
                 memory_table(plans, machine.spec.memory_gib)},
                {{"fits", !search.smallest},
                 {"tried", search.tried},
                 {"layouts", nlohmann::ordered_json::array()}}};
  if (search.smallest) part.json["remedy"] = search.remedy;
  for (const TrainingPlan& p : plans) part.json["layouts"].push_back(training_json(p));
  return part;
}

}  // namespace minke
