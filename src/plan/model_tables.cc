#include "plan/plan_tables.h"
#include "plan/units.h"

namespace minke {
namespace {

PlanTable parts_table(const ModelShape& shape, int64_t context) {
  PlanTable table{fmt::format("Parameters, and FLOPs of a token in {} tokens of context", context),
                  {"part", "parameters", "active", "forward", "training"},
                  {},
                  ""};
  const auto add = [&](const PartCost& p) {
    table.rows.push_back({p.name, whole_text(static_cast<double>(p.parameters)),
                          whole_text(static_cast<double>(p.active)),
                          decimal_text(p.forward_flops, ""),
                          decimal_text(3 * p.forward_flops, "")});
  };
  for (const PartCost& p : cost_by_part(shape, context)) add(p);
  const double flops = shape.forward_flops(context, false);
  add({"sum", shape.parameters(), shape.active(), flops});
  if (!shape.mtp.empty())
    add({"MTP modules", shape.mtp_parameters(), 0, shape.forward_flops(context, true) - flops});
  return table;
}

PlanTable bytes_table(const ModelShape& shape, int64_t context) {
  PlanTable table{
      "Bytes", {"", "f32", "bf16", "FP8"}, {}, "FP8 with one f32 scale per 128 x 128 weights."};
  const auto count = static_cast<double>(shape.parameters());
  const auto cache = static_cast<double>(shape.cache_elements());
  const double all = cache * static_cast<double>(context);
  table.rows = {
      {"weights", bytes_text(4 * count), bytes_text(2 * count),
       bytes_text(count * (1 + 4.0 / (128 * 128)))},
      {"cache, one token", whole_text(4 * cache), whole_text(2 * cache), whole_text(cache)},
      {fmt::format("cache, {} tokens", context), bytes_text(4 * all), bytes_text(2 * all),
       bytes_text(all)}};
  return table;
}

}  // namespace

PlanPart model_part(const ModelShape& shape, int64_t context) {
  PlanPart part{"model", {parts_table(shape, context), bytes_table(shape, context)}, {}};
  nlohmann::ordered_json parts = nlohmann::ordered_json::array();
  for (const PartCost& p : cost_by_part(shape, context))
    parts.push_back({{"part", p.name},
                     {"parameters", p.parameters},
                     {"active_parameters", p.active},
                     {"forward_flops", p.forward_flops}});
  part.json = {{"parameters", shape.parameters()},
               {"active_parameters", shape.active()},
               {"mtp_parameters", shape.mtp_parameters()},
               {"cache_elements_per_token", shape.cache_elements()},
               {"cache_bytes_per_token_bf16", 2 * shape.cache_elements()},
               {"context", context},
               {"forward_flops_per_token", shape.forward_flops(context, false)},
               {"training_flops_per_token", 3 * shape.forward_flops(context, true)},
               {"parts", parts}};
  return part;
}

}  // namespace minke
