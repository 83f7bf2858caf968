#include "plan/plan_tables.h"
#include "plan/units.h"

namespace minke {
namespace {

std::string bytes_of(int64_t bytes) { return bytes_text(static_cast<double>(bytes)); }

std::vector<std::vector<std::string>> memory_rows(const LocalMemory& m, int64_t process_bytes) {
  return {{"memory", bytes_of(m.total() + process_bytes), ""},
          {"  weights and gradients", bytes_of(m.weights), ""},
          {"  optimiser", bytes_of(m.optimizer), ""},
          {"  packed weights", bytes_of(m.packed), ""},
          {"  activations", bytes_of(m.activations), ""},
          {"  process and data", bytes_of(process_bytes), ""}};
}

std::vector<std::vector<std::string>> step_rows(const LocalStep& step) {
  const auto row = [&](const char* name, double seconds) {
    return std::vector<std::string>{name, hours_text(seconds / 3600),
                                    percent_text(seconds / step.total())};
  };
  return {{"step", hours_text(step.total() / 3600), ""},
          row("  matrix products", step.matmul),
          row("  attention", step.attention),
          row("  memory-bound", step.memory_bound),
          row("  optimiser", step.optimizer)};
}

nlohmann::ordered_json local_json(const LocalMemory& memory, int64_t process_bytes,
                                  const LocalStep& step) {
  return {{"memory_bytes", memory.total() + process_bytes},
          {"weights_bytes", memory.weights},
          {"optimizer_bytes", memory.optimizer},
          {"packed_bytes", memory.packed},
          {"activation_bytes", memory.activations},
          {"step_seconds", step.total()},
          {"matmul_seconds", step.matmul},
          {"attention_seconds", step.attention},
          {"memory_bound_seconds", step.memory_bound},
          {"optimizer_seconds", step.optimizer}};
}

void add_calibration(PlanPart& part, PlanTable& table, const Calibration& c) {
  if (c.run.empty()) {
    table.note = "Not calibrated: `minke plan --calibrate RUN` after a training run.";
    return;
  }
  table.note = fmt::format(
      "Calibrated with {}: steps take {:.2f} times what the peaks say, peak memory is {:.2f} times "
      "the plan.",
      c.run, c.step_factor, c.memory_factor);
  part.json["calibration"] = {
      {"run", c.run}, {"step_factor", c.step_factor}, {"memory_factor", c.memory_factor}};
}

}  // namespace

PlanPart local_part(const TrainConfig& config, const LocalMemory& memory, int64_t process_bytes,
                    const LocalStep& step, int cores, const Calibration& calibration) {
  const auto tokens = static_cast<double>(config.batch.sequences * config.data.sequence_length);
  const double hours = static_cast<double>(config.total_tokens) / tokens * step.total() / 3600;
  const double cost = hours * cores * config.cost.per_core_hour;
  PlanTable table{fmt::format("{} on this machine, {} cores", config.name, cores),
                  {"", "", ""},
                  memory_rows(memory, process_bytes),
                  ""};
  for (auto& row : step_rows(step)) table.rows.push_back(std::move(row));
  table.rows.push_back({"speed", decimal_text(tokens / step.total(), "tokens/s"), ""});
  table.rows.push_back({"time, all tokens", hours_text(hours), ""});
  table.rows.push_back({"cost", fmt::format("{:.4g} {}", cost, config.cost.currency), ""});
  PlanPart part{"this_machine", {}, local_json(memory, process_bytes, step)};
  part.json["tokens_per_second"] = tokens / step.total();
  part.json["hours"] = hours;
  part.json["cost"] = cost;
  add_calibration(part, table, calibration);
  part.tables.push_back(table);
  return part;
}

PlanPart stored_part(const std::vector<FormatBytes>& formats) {
  PlanTable table{"Bytes in the files", {"format", "tensors", "elements", "bytes"}, {}, ""};
  PlanPart part{"files", {}, nlohmann::ordered_json::array()};
  FormatBytes sum{"sum"};
  const auto add = [&](const FormatBytes& f) {
    table.rows.push_back({f.format, whole_text(static_cast<double>(f.tensors)),
                          whole_text(static_cast<double>(f.elements)), bytes_of(f.bytes)});
  };
  for (const FormatBytes& f : formats) {
    add(f);
    sum.tensors += f.tensors;
    sum.elements += f.elements;
    sum.bytes += f.bytes;
    part.json.push_back({{"format", f.format},
                         {"tensors", f.tensors},
                         {"elements", f.elements},
                         {"bytes", f.bytes}});
  }
  add(sum);
  part.tables.push_back(table);
  return part;
}

}  // namespace minke
