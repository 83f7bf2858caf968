#include "plan/plan_tables.h"

#include <array>
#include <cmath>

namespace minke {
namespace {

std::string whole(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string dollars(double value) {
  return value < 1000 ? fmt::format("${:.3g}", value) : fmt::format("${}", whole(value));
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }
std::string gibibytes(double bytes) { return fmt::format("{:.1f}", bytes / 0x1p30); }

// "2,074 K (-22 %)"
std::string against(double predicted, double published) {
  return fmt::format("{} ({:+.0f} %)", whole(predicted), 100 * (predicted / published - 1));
}

nlohmann::ordered_json json_of(const TrainingPlan& p) {
  return {{"layout", layout_text(p)},
          {"pipeline", p.layout.pipeline},
          {"experts", p.layout.experts},
          {"data_parallel", p.data_parallel},
          {"micro_batch", p.layout.micro_batch},
          {"micro_batches", p.micro_batches},
          {"recompute", p.layout.recompute},
          {"schedule", p.layout.schedule == Pipeline::dualpipe ? "dualpipe" : "1f1b"},
          {"memory_bytes",
           {{"weights", p.memory.weights},
            {"gradients", p.memory.gradients},
            {"optimizer", p.memory.optimizer},
            {"activations", p.memory.activations},
            {"buffers", p.memory.buffers},
            {"total", p.memory.total()}}},
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

PlanTable step_table(const std::vector<TrainingPlan>& plans) {
  PlanTable table{"Where a step's time goes, seconds",
                  {"layout", "compute", "bubble", "all-to-all", "reduce", "optimiser", "step"},
                  {},
                  ""};
  for (const TrainingPlan& p : plans)
    table.rows.push_back({layout_text(p), fmt::format("{:.3g}", p.compute),
                          fmt::format("{:.3g}", p.bubble), fmt::format("{:.3g}", p.exposed),
                          fmt::format("{:.3g}", p.reduction), fmt::format("{:.3g}", p.optimizer),
                          fmt::format("{:.3g}", p.step_seconds)});
  table.note = "All-to-all is what computation does not hide.";
  return table;
}

PlanTable memory_table(const std::vector<TrainingPlan>& plans, double memory_gib) {
  PlanTable table{"Memory of the fullest device, GiB",
                  {"layout", "weights", "gradients", "optimiser", "activations", "buffers", "sum"},
                  {},
                  fmt::format("A device has {:.0f} GiB.", memory_gib)};
  for (const TrainingPlan& p : plans)
    table.rows.push_back({layout_text(p), gibibytes(p.memory.weights),
                          gibibytes(p.memory.gradients), gibibytes(p.memory.optimizer),
                          gibibytes(p.memory.activations), gibibytes(p.memory.buffers),
                          gibibytes(p.memory.total())});
  return table;
}

}  // namespace

std::string decimal_text(double value, const std::string& unit) {
  constexpr std::array<const char*, 7> prefixes = {"", "K", "M", "G", "T", "P", "E"};
  size_t prefix = 0;
  for (; value >= 1000 && prefix + 1 < prefixes.size(); ++prefix) value /= 1000;
  return fmt::format("{:.4g} {}{}", value, prefixes[prefix], unit);
}

std::string bytes_text(double bytes) {
  constexpr std::array<const char*, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < units.size(); ++unit) bytes /= 1024;
  return fmt::format("{:.4g} {}", bytes, units[unit]);
}

std::string hours_text(double hours) {
  if (hours < 1.0 / 60) return fmt::format("{:.3g} s", hours * 3600);
  if (hours < 1) return fmt::format("{:.3g} min", hours * 60);
  if (hours < 72) return fmt::format("{:.3g} h", hours);
  return fmt::format("{:.4g} days", hours / 24);
}

PlanPart model_part(const ModelShape& shape, int64_t context) {
  PlanPart part{"model", {}, {}};
  PlanTable table{fmt::format("Parameters, and FLOPs of a token in {} tokens of context", context),
                  {"part", "parameters", "active", "forward", "training"},
                  {},
                  ""};
  nlohmann::ordered_json parts = nlohmann::ordered_json::array();
  double flops = 0;
  const auto add = [&](const PartCost& p) {
    table.rows.push_back({p.name, whole(static_cast<double>(p.parameters)),
                          whole(static_cast<double>(p.active)), decimal_text(p.forward_flops, ""),
                          decimal_text(3 * p.forward_flops, "")});
  };
  for (const PartCost& p : cost_by_part(shape, context)) {
    add(p);
    flops += p.forward_flops;
    parts.push_back({{"part", p.name},
                     {"parameters", p.parameters},
                     {"active_parameters", p.active},
                     {"forward_flops", p.forward_flops}});
  }
  add({"sum", shape.parameters(), shape.active(), flops});
  const double all = shape.forward_flops(context, true);
  if (!shape.mtp.empty()) add({"MTP modules", shape.mtp_parameters(), 0, all - flops});
  part.tables.push_back(table);

  PlanTable bytes{
      "Bytes", {"", "f32", "bf16", "FP8"}, {}, "FP8 with one f32 scale per 128 x 128 weights."};
  const double count = static_cast<double>(shape.parameters());
  bytes.rows.push_back({"weights", bytes_text(4 * count), bytes_text(2 * count),
                        bytes_text(count * (1 + 4.0 / (128 * 128)))});
  const double cache = static_cast<double>(shape.cache_elements());
  bytes.rows.push_back({"cache, one token", whole(4 * cache), whole(2 * cache), whole(cache)});
  bytes.rows.push_back({fmt::format("cache, {} tokens", context),
                        bytes_text(4 * cache * static_cast<double>(context)),
                        bytes_text(2 * cache * static_cast<double>(context)),
                        bytes_text(cache * static_cast<double>(context))});
  part.tables.push_back(bytes);
  part.json = {{"parameters", shape.parameters()},
               {"active_parameters", shape.active()},
               {"mtp_parameters", shape.mtp_parameters()},
               {"cache_elements_per_token", shape.cache_elements()},
               {"cache_bytes_per_token_bf16", 2 * shape.cache_elements()},
               {"context", context},
               {"forward_flops_per_token", flops},
               {"training_flops_per_token", 3 * all},
               {"parts", parts}};
  return part;
}

PlanPart training_part(const TrainingSearch& search, const MachineFile& machine,
                       const TrainingJob& job) {
  PlanPart part{"training", {}, {}};
  const bool fits = !search.best.empty();
  std::vector<TrainingPlan> plans = search.best;
  if (!fits) plans.push_back(*search.smallest);
  PlanTable table{
      fmt::format("Training on {} devices ({}), {} tokens in {}", job.devices, machine.spec.name,
                  decimal_text(job.tokens, ""), job.precision == Precision::fp8 ? "FP8" : "bf16"),
      {"layout", "tokens/s", "of peak", "time", "device hours", "cost", "limit"},
      {},
      fits ? fmt::format("The best of {} layouts.", search.tried)
           : fmt::format("No layout fits: the smallest needs {} of {:.0f} GiB. The "
                         "smallest change that would: {}.",
                         bytes_text(search.smallest->memory.total()), machine.spec.memory_gib,
                         search.remedy)};
  part.json = {
      {"fits", fits}, {"tried", search.tried}, {"layouts", nlohmann::ordered_json::array()}};
  if (!fits) part.json["remedy"] = search.remedy;
  for (const TrainingPlan& p : plans) {
    table.rows.push_back(
        {layout_text(p), whole(p.tokens_per_second), percent(p.flops_fraction), hours_text(p.hours),
         p.device_hours < 100 ? fmt::format("{:.3g}", p.device_hours) : whole(p.device_hours),
         dollars(p.cost), p.limit});
    part.json["layouts"].push_back(json_of(p));
  }
  part.tables = {table, step_table(plans), memory_table(plans, machine.spec.memory_gib)};
  return part;
}

PlanPart serving_part(const ServingPlan& p, const MachineFile& machine, const ServiceDay& prices) {
  PlanPart part{"serving", {}, {}};
  PlanTable table{
      "Serving, one node of " + machine.spec.name,
      {"", "prompts", "generation"},
      {},
      fmt::format("Over a day counts {:.0f} % of the peak.", 100 * machine.efficiency.utilization)};
  table.rows = {{"tokens/s, peak", whole(p.prefill_tokens), whole(p.decode_tokens)},
                {"tokens/s, over a day", whole(p.mean_prefill_tokens), whole(p.mean_decode_tokens)},
                {"cost of a million tokens", dollars(p.cost_per_million_input),
                 dollars(p.cost_per_million_output)},
                {"limited by", p.prefill_limit, p.decode_limit},
                {"devices that share experts", fmt::format("{}", p.prefill_experts),
                 fmt::format("{}", p.decode_experts)},
                {"sequences on a device", "", fmt::format("{}", p.batch)},
                {"tokens/s of one user", "", fmt::format("{:.1f}", p.user_speed)},
                {"weights, cache of a device", "",
                 fmt::format("{:.1f}, {:.1f} GiB", p.weights_gib, p.cache_gib)},
                {"products, attention, all-to-all",
                 fmt::format("{:.0f} + {:.0f} us a token", p.prefill_compute * 1e6,
                             p.prefill_all_to_all * 1e6),
                 fmt::format("{:.1f}, {:.1f}, {:.1f} ms a step", p.decode_weights * 1e3,
                             p.decode_attention * 1e3, p.decode_all_to_all * 1e3)}};
  part.json = {{"prefill_tokens_per_second", p.prefill_tokens},
               {"decode_tokens_per_second", p.decode_tokens},
               {"mean_prefill_tokens_per_second", p.mean_prefill_tokens},
               {"mean_decode_tokens_per_second", p.mean_decode_tokens},
               {"cost_per_million_input", p.cost_per_million_input},
               {"cost_per_million_output", p.cost_per_million_output},
               {"prefill_limit", p.prefill_limit},
               {"decode_limit", p.decode_limit},
               {"prefill_experts", p.prefill_experts},
               {"decode_experts", p.decode_experts},
               {"batch", p.batch},
               {"user_tokens_per_second", p.user_speed},
               {"decode_step_seconds", p.decode_step},
               {"weights_gib", p.weights_gib},
               {"cache_gib", p.cache_gib}};
  if (prices.price_miss > 0 || prices.price_output > 0) {
    const auto margin = [](double price, double cost) { return (price - cost) / cost; };
    const double hits = prices.input_tokens > 0 ? prices.hit_tokens / prices.input_tokens : 0;
    const double input = hits * prices.price_hit + (1 - hits) * prices.price_miss;
    table.rows.push_back(
        {"price of a million tokens", dollars(input), dollars(prices.price_output)});
    table.rows.push_back({"profit by cost", percent(margin(input, p.cost_per_million_input)),
                          percent(margin(prices.price_output, p.cost_per_million_output))});
    part.json["margin_input"] = margin(input, p.cost_per_million_input);
    part.json["margin_output"] = margin(prices.price_output, p.cost_per_million_output);
  }
  part.tables.push_back(table);
  return part;
}

PlanPart local_part(const TrainConfig& config, const LocalMemory& memory, int64_t process_bytes,
                    const LocalStep& step, int cores) {
  PlanPart part{"this_machine", {}, {}};
  const double tokens = static_cast<double>(config.batch.sequences * config.data.sequence_length);
  const double hours = static_cast<double>(config.total_tokens) / tokens * step.total() / 3600;
  const double cost = hours * cores * config.cost.per_core_hour;
  const auto total = static_cast<double>(memory.total() + process_bytes);
  PlanTable table{
      fmt::format("{} on this machine, {} cores", config.name, cores), {"", "", ""}, {}, ""};
  table.rows = {
      {"memory", bytes_text(total), ""},
      {"  weights and gradients", bytes_text(static_cast<double>(memory.weights)), ""},
      {"  optimiser", bytes_text(static_cast<double>(memory.optimizer)), ""},
      {"  packed weights", bytes_text(static_cast<double>(memory.packed)), ""},
      {"  activations", bytes_text(static_cast<double>(memory.activations)), ""},
      {"  process and data", bytes_text(static_cast<double>(process_bytes)), ""},
      {"step", hours_text(step.total() / 3600), ""},
      {"  matrix products", hours_text(step.matmul / 3600), percent(step.matmul / step.total())},
      {"  attention", hours_text(step.attention / 3600), percent(step.attention / step.total())},
      {"  memory-bound", hours_text(step.memory_bound / 3600),
       percent(step.memory_bound / step.total())},
      {"  optimiser", hours_text(step.optimizer / 3600), percent(step.optimizer / step.total())},
      {"speed", decimal_text(tokens / step.total(), "tokens/s"), ""},
      {"time, all tokens", hours_text(hours), ""},
      {"cost", fmt::format("{:.4g} {}", cost, config.cost.currency), ""}};
  part.json = {{"memory_bytes", static_cast<int64_t>(total)},
               {"weights_bytes", memory.weights},
               {"optimizer_bytes", memory.optimizer},
               {"packed_bytes", memory.packed},
               {"activation_bytes", memory.activations},
               {"step_seconds", step.total()},
               {"matmul_seconds", step.matmul},
               {"attention_seconds", step.attention},
               {"memory_bound_seconds", step.memory_bound},
               {"optimizer_seconds", step.optimizer},
               {"tokens_per_second", tokens / step.total()},
               {"hours", hours},
               {"cost", cost}};
  part.tables.push_back(table);
  return part;
}

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
  PlanPart part{"published", {}, {}};
  const TrainingBill bill;
  const TrainingPlan training = predicted_v3_training();
  PlanTable table{"DeepSeek-V3's training, H800 hours",
                  {"", "published", "predicted"},
                  {},
                  fmt::format("Predicted: {} on {}, {:.1f} % of the FP8 peak; {} limits it most.",
                              layout_text(training), "2,048 H800", 100 * training.flops_fraction,
                              training.limit)};
  const double predicted = training.device_hours;
  table.rows = {{"pre-training", whole(bill.pre_training_hours()),
                 against(predicted, bill.pre_training_hours())},
                {"context extension", whole(bill.context_hours), ""},
                {"post-training", whole(bill.post_training_hours), ""},
                {"sum", whole(bill.hours()), ""},
                {"cost", fmt::format("${}", whole(bill.cost())), ""}};
  const ServiceDay day = published_day();
  const ServingPlan serving = predicted_v3_serving();
  PlanTable service{"DeepSeek's day of 27 February 2025",
                    {"", "published", "predicted", "predicted peak"},
                    {},
                    "A day's mean is the peak times the assumed utilization."};
  service.rows = {
      {"prompt tokens/s of a node", whole(published_prefill_tokens),
       against(serving.mean_prefill_tokens, published_prefill_tokens),
       whole(serving.prefill_tokens)},
      {"generated tokens/s of a node", whole(published_decode_tokens),
       against(serving.mean_decode_tokens, published_decode_tokens), whole(serving.decode_tokens)},
      {"cost of the day", fmt::format("${}", whole(day.cost())), "", ""},
      {"revenue at R1's prices", fmt::format("${}", whole(day.revenue())), "", ""},
      {"profit by cost", fmt::format("{:.0f} %", 100 * day.margin()), "", ""}};
  part.tables = {table, service};
  part.json = {{"pre_training_hours", bill.pre_training_hours()},
               {"total_hours", bill.hours()},
               {"total_cost", bill.cost()},
               {"predicted_pre_training_hours", predicted},
               {"predicted_training", json_of(training)},
               {"day_cost", day.cost()},
               {"day_revenue", day.revenue()},
               {"published_prefill_tokens_per_second", published_prefill_tokens},
               {"published_decode_tokens_per_second", published_decode_tokens},
               {"predicted_prefill_tokens_per_second", serving.mean_prefill_tokens},
               {"predicted_decode_tokens_per_second", serving.mean_decode_tokens},
               {"predicted_peak_prefill_tokens_per_second", serving.prefill_tokens},
               {"predicted_peak_decode_tokens_per_second", serving.decode_tokens}};
  return part;
}

}  // namespace minke
