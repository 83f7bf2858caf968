#include "cli/plan_output.h"

#include <algorithm>
#include <cmath>

#include "report/report.h"

namespace minke {
namespace {

std::string table_text(const PlanTable& table) {
  std::vector<std::vector<std::string>> rows = table.rows;
  const bool has_header = std::any_of(table.header.begin(), table.header.end(),
                                      [](const std::string& cell) { return !cell.empty(); });
  if (has_header) rows.insert(rows.begin(), table.header);
  std::vector<size_t> widths(table.header.size(), 0);
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text = table.title + "\n";
  for (const auto& row : rows) {
    std::string line = " ";
    for (size_t i = 0; i < row.size(); ++i)
      line += i == 0 ? fmt::format(" {:<{}}", row[i], widths[i])
                     : fmt::format("  {:>{}}", row[i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text + (table.note.empty() ? "" : table.note + "\n");
}

void add_memory(Report& page, const PlanPlots& plots) {
  std::vector<Bar> bars;
  for (const TrainingPlan& p : plots.layouts) {
    const RankMemory& m = p.memory;
    Bar bar{layout_text(p), {}};
    for (const double part : {m.weights, m.gradients, m.optimizer, m.activations, m.buffers})
      bar.parts.push_back(part / 0x1p30);
    bars.push_back(bar);
  }
  page.add_heading("Memory of the fullest device");
  page.add_bars(bars, {"weights", "gradients", "optimiser", "activations", "buffers"}, "GiB",
                plots.machine->spec.memory_gib);
}

void add_cost(Report& page, const PlanPlots& plots) {
  std::vector<Line> lines;
  for (const TrainingPlan& p : plots.layouts) {
    Line line{layout_text(p), {}};
    for (double tokens = plots.tokens / 100; tokens <= plots.tokens * 10.01; tokens *= 10)
      line.points.emplace_back(tokens, p.cost * tokens / plots.tokens);
    if (p.cost > 0) lines.push_back(line);
  }
  if (lines.empty()) return;
  page.add_heading("Cost against tokens");
  page.add_lines(lines, {"tokens", true}, {"USD", true});
}

// Rates of the products for a growing number of rows: memory-bound, then arithmetic.
void add_roofline(Report& page, const PlanPlots& plots) {
  std::vector<Line> lines;
  const auto add = [&](Precision precision, const char* name) {
    const Device device{*plots.machine, precision, 1.0};
    if (device.peak() <= 0) return;
    const auto hidden = static_cast<double>(plots.shape->hidden);
    Line line{name, {}};
    for (double rows = 1; rows <= 16384; rows *= 2)
      line.points.emplace_back(
          rows, 2 * rows * hidden * hidden / device.product_seconds(rows, hidden, hidden) / 1e12);
    lines.push_back(line);
  };
  add(Precision::bf16, "bf16");
  add(Precision::fp8, "FP8");
  page.add_heading("Roofline: a product as wide as the model, by rows");
  page.add_lines(lines, {"rows", true}, {"TFLOP/s", true});
}

}  // namespace

std::string plan_text(const std::vector<PlanPart>& parts) {
  std::string text;
  for (const PlanPart& part : parts)
    for (const PlanTable& table : part.tables)
      text += (text.empty() ? "" : "\n") + table_text(table);
  return text;
}

std::string plan_json(const std::vector<PlanPart>& parts) {
  nlohmann::ordered_json json;
  for (const PlanPart& part : parts) json[part.key] = part.json;
  return json.dump(2) + "\n";
}

std::string plan_html(const std::string& title, const std::vector<PlanPart>& parts,
                      const PlanPlots& plots) {
  Report page("Plan: " + title);
  for (const PlanPart& part : parts)
    for (const PlanTable& table : part.tables) {
      page.add_heading(table.title);
      page.add_table(table.header, table.rows);
      if (!table.note.empty()) page.add_paragraph(table.note);
    }
  if (!plots.layouts.empty()) {
    add_memory(page, plots);
    add_cost(page, plots);
  }
  if (plots.machine && plots.shape) add_roofline(page, plots);
  return page.html();
}

}  // namespace minke
