#include "plan/plan_tables.h"
#include "plan/units.h"

namespace minke {
namespace {

double profit_by_cost(double price, double cost) { return (price - cost) / cost; }

std::vector<std::vector<std::string>> serving_rows(const ServingPlan& p) {
  return {
      {"tokens/s, peak", whole_text(p.prefill_tokens), whole_text(p.decode_tokens)},
      {"tokens/s, over a day", whole_text(p.mean_prefill_tokens), whole_text(p.mean_decode_tokens)},
      {"cost of a million tokens", dollars_text(p.cost_per_million_input),
       dollars_text(p.cost_per_million_output)},
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
}

nlohmann::ordered_json serving_json(const ServingPlan& p) {
  return {{"prefill_tokens_per_second", p.prefill_tokens},
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
}

// The margin, where a price list is given.
void add_margin(PlanPart& part, PlanTable& table, const ServiceDay& prices, double input_cost,
                double output_cost) {
  if (prices.price_miss <= 0 && prices.price_output <= 0) return;
  const double hits = prices.input_tokens > 0 ? prices.hit_tokens / prices.input_tokens : 0;
  const double input = hits * prices.price_hit + (1 - hits) * prices.price_miss;
  const double on_input = profit_by_cost(input, input_cost);
  const double on_output = profit_by_cost(prices.price_output, output_cost);
  table.rows.push_back(
      {"price of a million tokens", dollars_text(input), dollars_text(prices.price_output)});
  table.rows.push_back({"profit by cost", percent_text(on_input), percent_text(on_output)});
  part.json["margin_input"] = on_input;
  part.json["margin_output"] = on_output;
}

std::string serving_calibration(const Calibration& c) {
  return c.model.empty()
             ? "Not calibrated: `minke plan --calibrate FILE` with what `minke generate --json` "
               "printed."
             : fmt::format(
                   "Calibrated with {}: prompts take {:.2f} times, generation {:.2f} times "
                   "what the peaks say.",
                   c.model, c.prompt_factor, c.generation_factor);
}

nlohmann::ordered_json local_serving_json(const LocalServing& p, const LocalServingMemory& m,
                                          const LocalServingJob& job) {
  return {{"memory_bytes", m.total()},
          {"weights_bytes", m.weights},
          {"cache_bytes", m.cache},
          {"scratch_bytes", m.scratch},
          {"prompt", job.prompt},
          {"context", job.context},
          {"batch", job.batch},
          {"prompt_tokens_per_second", p.prompt_tokens},
          {"generation_tokens_per_second", p.generation_tokens},
          {"user_tokens_per_second", p.user_speed},
          {"prompt_seconds", p.prompt.total()},
          {"step_seconds", p.generation.total()},
          {"prompt_limit", p.prompt.limit()},
          {"generation_limit", p.generation.limit()},
          {"cost_per_million_input", p.cost_per_million_input},
          {"cost_per_million_output", p.cost_per_million_output}};
}

}  // namespace

PlanPart serving_part(const ServingPlan& p, const MachineFile& machine, const ServiceDay& prices) {
  PlanTable table{
      "Serving, one node of " + machine.spec.name,
      {"", "prompts", "generation"},
      serving_rows(p),
      fmt::format("Over a day counts {:.0f} % of the peak.", 100 * machine.efficiency.utilization)};
  PlanPart part{"serving", {}, serving_json(p)};
  add_margin(part, table, prices, p.cost_per_million_input, p.cost_per_million_output);
  part.tables.push_back(table);
  return part;
}

PlanPart local_serving_part(const LocalServing& p, const LocalServingMemory& memory,
                            const LocalServingJob& job, int threads, int64_t machine_bytes,
                            const ServiceDay& prices, const Calibration& calibration) {
  const bool fits = memory.total() <= machine_bytes;
  PlanTable table{
      fmt::format("Serving on this machine, {} threads: prompts of {} tokens, then {} at a time "
                  "with {} in the cache",
                  threads, job.prompt, job.batch, job.context),
      {"", "prompts", "generation"},
      {{"tokens/s", decimal_text(p.prompt_tokens, ""), decimal_text(p.generation_tokens, "")},
       {"tokens/s of one user", "", decimal_text(p.user_speed, "")},
       {"limited by", p.prompt.limit(), p.generation.limit()},
       {"cost of a million tokens", dollars_text(p.cost_per_million_input),
        dollars_text(p.cost_per_million_output)}},
      serving_calibration(calibration)};
  PlanPart part{"serving_on_this_machine", {}, local_serving_json(p, memory, job)};
  add_margin(part, table, prices, p.cost_per_million_input, p.cost_per_million_output);
  PlanTable bytes{
      "Memory of the loaded model",
      {"", ""},
      {{"weights in the kernels' layout", bytes_text(static_cast<double>(memory.weights))},
       {"cache", bytes_text(static_cast<double>(memory.cache))},
       {"one batch", bytes_text(static_cast<double>(memory.scratch))},
       {"sum", bytes_text(static_cast<double>(memory.total()))}},
      fmt::format("{} {} that this machine grants{}", fits ? "Fits the" : "Does not fit the",
                  bytes_text(static_cast<double>(machine_bytes)),
                  fits ? "."
                       : "; fewer bits a weight, a shorter --serving-context or a "
                         "smaller --serving-batch need less.")};
  part.json["fits"] = fits;
  if (!calibration.model.empty())
    part.json["calibration"] = {{"model", calibration.model},
                                {"prompt_factor", calibration.prompt_factor},
                                {"generation_factor", calibration.generation_factor}};
  part.tables = {table, bytes};
  return part;
}

}  // namespace minke
