#include "plan/plan_tables.h"
#include "plan/units.h"

namespace minke {
namespace {

// "2,074 K (-22 %)"
std::string against(double predicted, double published) {
  return fmt::format("{} ({:+.0f} %)", whole_text(predicted), 100 * (predicted / published - 1));
}

PlanTable bill_table(const TrainingBill& bill, const TrainingPlan& predicted) {
  return {"DeepSeek-V3's training, H800 hours",
          {"", "published", "predicted"},
          {{"pre-training", whole_text(bill.pre_training_hours()),
            against(predicted.device_hours, bill.pre_training_hours())},
           {"context extension", whole_text(bill.context_hours), ""},
           {"post-training", whole_text(bill.post_training_hours), ""},
           {"sum", whole_text(bill.hours()), ""},
           {"cost", fmt::format("${}", whole_text(bill.cost())), ""}},
          fmt::format("Predicted: {} on {}, {:.1f} % of the FP8 peak; {} limits it most.",
                      layout_text(predicted), "2,048 H800", 100 * predicted.flops_fraction,
                      predicted.limit)};
}

PlanTable day_table(const ServiceDay& day, const ServingPlan& predicted) {
  return {"DeepSeek's day of 27 February 2025",
          {"", "published", "predicted", "predicted peak"},
          {{"prompt tokens/s of a node", whole_text(published_prefill_tokens),
            against(predicted.mean_prefill_tokens, published_prefill_tokens),
            whole_text(predicted.prefill_tokens)},
           {"generated tokens/s of a node", whole_text(published_decode_tokens),
            against(predicted.mean_decode_tokens, published_decode_tokens),
            whole_text(predicted.decode_tokens)},
           {"cost of the day", fmt::format("${}", whole_text(day.cost())), "", ""},
           {"revenue at R1's prices", fmt::format("${}", whole_text(day.revenue())), "", ""},
           {"profit by cost", fmt::format("{:.0f} %", 100 * day.margin()), "", ""}},
          "A day's mean is the peak times the assumed utilization."};
}

}  // namespace

PlanPart assumptions_part(const MachineFile& machine) {
  PlanPart part{"assumptions", {}, {}};
  PlanTable table{
      "Assumed efficiencies", {"key", "value", "meaning"}, {}, "Sources: docs/plan.md."};
  Efficiency efficiency = machine.efficiency;
  visit_fields(efficiency, [&](const Field& field, const auto& member) {
    table.rows.push_back(
        {std::string(field.name), fmt::format("{:g}", member), std::string(field.doc)});
    part.json[std::string(field.name)] = member;
  });
  part.tables.push_back(table);
  return part;
}

PlanPart published_part() {
  const TrainingBill bill;
  const TrainingPlan training = predicted_v3_training();
  const ServiceDay day = published_day();
  const ServingPlan serving = predicted_v3_serving();
  return {"published",
          {bill_table(bill, training), day_table(day, serving)},
          {{"pre_training_hours", bill.pre_training_hours()},
           {"total_hours", bill.hours()},
           {"total_cost", bill.cost()},
           {"predicted_pre_training_hours", training.device_hours},
           {"predicted_training", training_json(training)},
           {"day_cost", day.cost()},
           {"day_revenue", day.revenue()},
           {"published_prefill_tokens_per_second", published_prefill_tokens},
           {"published_decode_tokens_per_second", published_decode_tokens},
           {"predicted_prefill_tokens_per_second", serving.mean_prefill_tokens},
           {"predicted_decode_tokens_per_second", serving.mean_decode_tokens},
           {"predicted_peak_prefill_tokens_per_second", serving.prefill_tokens},
           {"predicted_peak_decode_tokens_per_second", serving.decode_tokens}}};
}

}  // namespace minke
