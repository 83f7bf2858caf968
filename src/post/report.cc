#include "post/report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "config/recipe_file.h"
#include "ledger/ledger.h"
#include "ledger/metrics.h"
#include "post/pipeline.h"
#include "report/report.h"
#include "train/progress.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

// One run with all that it measured.
struct RunRecord {
  std::string name;
  fs::path folder;
  Ledger ledger;
  std::vector<Json> metrics;
  std::string start;  // the model that its recipe names; "" for none
};

std::string starting_model(const fs::path& recipe) {
  if (!fs::exists(recipe)) return "";
  constexpr int64_t max_bytes = 1 << 24;
  const RecipeValues values = parse_recipe(read_file(recipe, max_bytes), recipe.string(), {});
  const auto found = values.find("model");
  return found != values.end() && found->second.value.is_string()
             ? found->second.value.get<std::string>()
             : "";
}

RunRecord read_run(const std::string& name, const fs::path& folder) {
  return {name, folder, load_ledger(folder), read_metrics(folder / "metrics.jsonl"),
          starting_model(folder / "recipe.toml")};
}

// A number at a path of keys; nothing where a line does not have it.
std::optional<double> number(const Json& line, std::initializer_list<const char*> keys) {
  const Json* at = &line;
  for (const char* key : keys) {
    const auto found = at->find(key);
    if (!at->is_object() || found == at->end()) return std::nullopt;
    at = &*found;
  }
  return at->is_number() ? std::optional(at->get<double>()) : std::nullopt;
}

Line curve(const std::string& label, const std::vector<Json>& lines,
           std::initializer_list<const char*> x, std::initializer_list<const char*> y,
           double scale = 1.0) {
  Line line{label, {}};
  for (const Json& entry : lines) {
    const auto px = number(entry, x), py = number(entry, y);
    if (px && py) line.points.emplace_back(*px, *py * scale);
  }
  return line;
}

std::vector<const Json*> evaluations(const RunRecord& run) {
  std::vector<const Json*> found;
  for (const Json& line : run.metrics)
    if (number(line, {"held_out", "pass_at_1"})) found.push_back(&line);
  return found;
}

std::string percent(std::optional<double> share) {
  return share ? fmt::format("{:.1f} %", 100 * *share) : "";
}

std::string short_number(double value) {
  for (const auto& [unit, name] : {std::pair{1e15, " P"}, {1e12, " T"}, {1e9, " G"}, {1e6, " M"}})
    if (value >= unit) return fmt::format("{:.2f}{}", value / unit, name);
  return fmt::format("{:.0f}", value);
}

void add_stages(Report& report, const PipelineRecord& record, const std::vector<RunRecord>& runs) {
  Rows rows;
  std::vector<Bar> bars;
  double seconds = 0, cost = 0, flops = 0;
  for (const StageRecord& stage : record.stages) {
    const auto run = std::find_if(runs.begin(), runs.end(),
                                  [&](const RunRecord& r) { return r.name == stage.name; });
    const bool known = run != runs.end();
    rows.push_back({stage.name, stage.command.at(0), format_duration(stage.seconds),
                    known ? fmt::format("{}", run->ledger.tokens) : "",
                    known ? short_number(run->ledger.model_flops) + "FLOP" : "",
                    fmt::format("{:.4f}", stage.cost)});
    bars.push_back({stage.name, {stage.seconds / 60}});
    seconds += stage.seconds;
    cost += stage.cost;
    if (known) flops += run->ledger.model_flops;
  }
  rows.push_back({"all", "", format_duration(seconds), "", short_number(flops) + "FLOP",
                  fmt::format("{:.4f}", cost)});
  report.add_heading("Stages and what they cost");
  report.add_table({"stage", "command", "time", "tokens trained", "arithmetic", record.currency},
                   rows);
  report.add_bars(bars, {"time"}, "min");
}

void add_bill(Report& report, const RunRecord& run) {
  report.add_heading("The bill");
  report.add_code(ledger_table(run.ledger));
}

void add_learning_curves(Report& report, const std::vector<RunRecord>& runs) {
  std::vector<Line> quality, losses;
  for (const RunRecord& run : runs) {
    if (!evaluations(run).empty()) continue;
    quality.push_back(curve(run.name, run.metrics, {"tokens"}, {"bits_per_byte"}));
    losses.push_back(curve(run.name, run.metrics, {"tokens"}, {"loss"}));
  }
  if (quality.empty()) return;
  report.add_heading("Learning from text");
  report.add_lines(quality, {"tokens"}, {"bits per byte of held-out text"});
  report.add_lines(losses, {"tokens"}, {"training loss, nats per token"});
}

// The whole number that a stage printed behind a key, in JSON or in a line of its own.
std::optional<int64_t> printed_number(const std::string& text, const std::string& key) {
  const size_t at = text.find(key);
  if (at == std::string::npos) return std::nullopt;
  const size_t begin = text.find_first_not_of("\": ", at + key.size());
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const bool is_number = begin != std::string::npos &&
                         std::from_chars(text.data() + begin, end, value).ec == std::errc();
  return is_number ? std::optional(value) : std::nullopt;
}

// Which share of the data that other stages prepared from a stage's file of tasks comes from it.
std::string task_shares(const fs::path& folder, const PipelineRecord& record,
                        const StageRecord& tasks, int64_t documents) {
  const auto out = std::find(tasks.command.begin(), tasks.command.end(), "--out");
  if (out == tasks.command.end() || out + 1 == tasks.command.end()) return "";
  std::string shares;
  for (const StageRecord& stage : record.stages) {
    const fs::path index = folder / stage.name / "index.json";
    const auto& words = stage.command;
    if (std::find(words.begin(), words.end(), *(out + 1)) == words.end() || !fs::exists(index))
      continue;
    const auto all = printed_number(read_file(index), "documents_read");
    if (all && *all > 0)
      shares += fmt::format(" Of the documents of stage {} {:.0f} % are that text.", stage.name,
                            100.0 * static_cast<double>(documents) / static_cast<double>(*all));
  }
  return shares;
}

// What the stages that wrote text of tasks found of held-out problems in it, and where it went.
std::string text_findings(const fs::path& folder, const PipelineRecord& record) {
  std::string findings;
  for (const StageRecord& stage : record.stages) {
    const fs::path file = folder / "outputs" / (stage.name + ".txt");
    if (!fs::exists(file)) continue;
    const std::string text = read_file(file);
    const auto found = printed_number(text, "held_out_problems_in_text");
    const auto problems = printed_number(text, "distinct_problems");
    if (found && problems)
      findings += fmt::format(
          " In the text of stage {} {} of {} problems have the prompt of a held-out problem that "
          "was looked for.",
          stage.name, *found, *problems);
    if (const auto documents = printed_number(text, "documents"); found && documents)
      findings += task_shares(folder, record, stage, *documents);
  }
  return findings;
}

// findings: of held-out problems in the text that models were trained on, measured.
void add_accuracy(Report& report, const std::vector<RunRecord>& runs, const std::string& currency,
                  const std::string& findings) {
  Rows rows;
  std::vector<Line> by_flops, by_step, greedy;
  for (const RunRecord& run : runs) {
    const auto found = evaluations(run);
    if (found.empty()) continue;
    const Json &first = *found.front(), &last = *found.back();
    rows.push_back(
        {run.name, percent(number(first, {"held_out", "pass_at_1"})),
         percent(number(last, {"held_out", "pass_at_1"})),
         percent(number(first, {"greedy", "pass_at_1"})),
         percent(number(last, {"greedy", "pass_at_1"})),
         fmt::format("{:.1f} → {:.1f}", number(first, {"held_out", "length"}).value_or(0),
                     number(last, {"held_out", "length"}).value_or(0)),
         fmt::format("{:.0f}", number(last, {"problems"}).value_or(0)),
         short_number(number(last, {"flops"}).value_or(0)) + "FLOP",
         fmt::format("{:.4f}", number(last, {"cost"}).value_or(0))});
    by_flops.push_back(curve(run.name, run.metrics, {"flops"}, {"held_out", "pass_at_1"}, 100));
    by_step.push_back(curve(run.name, run.metrics, {"step"}, {"held_out", "pass_at_1"}, 100));
    greedy.push_back(
        curve(run.name + ", greedy", run.metrics, {"step"}, {"greedy", "pass_at_1"}, 100));
  }
  if (rows.empty()) return;
  report.add_heading("Held-out problems");
  report.add_paragraph(
      "Problems of the test split, to which a problem belongs by its hash alone; reinforcement "
      "learning and distillation take theirs from the training split. That is the split's rule, no "
      "measurement of what a model has read." +
      findings +
      " Each has one sample at the temperature that the recipe fixes beforehand, with "
      "the same random numbers each time; greedy answers stand beside it, as a model that samples "
      "badly may know more than its samples show.");
  report.add_table({"run", "before", "after", "greedy before", "greedy after", "tokens per answer",
                    "problems", "arithmetic", currency},
                   rows);
  by_step.insert(by_step.end(), greedy.begin(), greedy.end());
  report.add_lines(by_step, {"step"}, {"right, %"});
  report.add_paragraph(
      "The same against the arithmetic that each run took from its own start on: sampling, "
      "references and teachers included, the training of a teacher itself not.");
  report.add_lines(by_flops, {"FLOP"}, {"right, %"});
}

// A curve's value at x, between its points; its last one beyond them.
double value_at(const Line& line, double x) {
  for (size_t i = 1; i < line.points.size(); ++i) {
    const auto& [x0, y0] = line.points[i - 1];
    const auto& [x1, y1] = line.points[i];
    if (x <= x1) return x1 > x0 ? y0 + (y1 - y0) * std::max(0.0, x - x0) / (x1 - x0) : y1;
  }
  return line.points.back().second;
}

// Runs that began with the same weights, each after the arithmetic that every one of them took.
void add_equal_arithmetic(Report& report, const std::vector<RunRecord>& runs) {
  std::map<std::string, std::vector<Line>> by_start;
  for (const RunRecord& run : runs) {
    Line line = curve(run.name, run.metrics, {"flops"}, {"held_out", "pass_at_1"});
    if (!run.start.empty() && !line.points.empty()) by_start[run.start].push_back(std::move(line));
  }
  for (auto& [start, lines] : by_start) {
    if (lines.size() < 2) continue;
    std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
      return a.points.back().first < b.points.back().first;
    });
    std::vector<std::string> header = {"run", "before"};
    for (const Line& line : lines)
      header.push_back("after " + short_number(line.points.back().first) + "FLOP");
    Rows rows;
    for (const Line& line : lines) {
      rows.push_back({line.label, percent(line.points.front().second)});
      for (const Line& other : lines) {
        const double budget = other.points.back().first;
        const bool ended = budget > line.points.back().first;
        rows.back().push_back(ended ? "" : percent(value_at(line, budget)));
      }
    }
    report.add_heading("The same start at equal arithmetic: " +
                       fs::path(start).filename().string());
    report.add_paragraph(
        "Right answers on held-out problems after as many operations as each run took, between "
        "tests by interpolation; nothing where the run had ended.");
    report.add_table(header, rows);
  }
}

// What reinforcement learning changes beside the accuracy.
void add_habits(Report& report, const std::vector<RunRecord>& runs) {
  std::vector<Line> lengths, thinking, entropy;
  for (const RunRecord& run : runs) {
    Line length = curve(run.name, run.metrics, {"step"}, {"length"});
    if (length.points.empty()) continue;
    lengths.push_back(std::move(length));
    thinking.push_back(curve(run.name, run.metrics, {"step"}, {"thinks"}, 100));
    entropy.push_back(curve(run.name, run.metrics, {"step"}, {"entropy"}));
  }
  if (lengths.empty()) return;
  report.add_heading("How the answers change");
  report.add_lines(lengths, {"step"}, {"tokens of an answer"});
  report.add_lines(thinking, {"step"}, {"answers with a finished thinking span, %"});
  report.add_lines(entropy, {"step"}, {"entropy, nats per token"});
  report.add_paragraph(
      "This is elicitation: reinforcement learning finds and sharpens what pre-training left as a "
      "rare habit. It pays where working a problem out is right more often than answering at once, "
      "and nothing but the final answer's check tells the model so.");
}

// An example of a test: whether it was right, and what the model wrote.
std::string example_line(const Json& line, size_t i) {
  const Json& example = line.at("examples").at(i);
  return fmt::format("  step {:>5}  {}  {}\n", line.at("step").get<int64_t>(),
                     example.at("correct").get<bool>() ? "right" : "wrong",
                     example.at("text").get<std::string>());
}

// The same problems, early and late.
void add_answers(Report& report, const RunRecord& run) {
  const auto found = evaluations(run);
  if (found.size() < 2 || !found.front()->contains("examples")) return;
  const Json &first = *found.front(), &last = *found.back();
  std::string text;
  const Json& problems = first.at("examples");
  for (size_t i = 0; i < problems.size(); ++i)
    text += fmt::format("{}   (right: {})\n", problems[i].at("prompt").get<std::string>(),
                        problems[i].at("answer").get<std::string>()) +
            example_line(first, i) + example_line(last, i);
  report.add_heading(fmt::format("The same problems before and after: {}", run.name));
  report.add_code(text);
}

// What the stages printed.
void add_outputs(Report& report, const fs::path& folder, const PipelineRecord& record) {
  for (const StageRecord& stage : record.stages) {
    const fs::path file = folder / "outputs" / (stage.name + ".txt");
    std::error_code code;
    if (!fs::exists(file) || fs::file_size(file, code) == 0) continue;
    constexpr int64_t most = 1 << 16;
    std::string text = read_file(file);
    if (static_cast<int64_t>(text.size()) > most) text = text.substr(0, most) + "\n...";
    report.add_heading("What the stage printed: " + stage.name);
    report.add_code(text);
  }
}

}  // namespace

void write_report(const fs::path& run) {
  std::vector<RunRecord> runs;
  std::string currency;
  const bool has_stages = fs::exists(run / "stages.json");
  PipelineRecord record;
  if (has_stages) {
    record = load_pipeline_record(run);
    currency = record.currency;
    for (const StageRecord& stage : record.stages)
      if (fs::exists(run / stage.name / "ledger.json"))
        runs.push_back(read_run(stage.name, run / stage.name));
  } else {
    if (!fs::exists(run / "ledger.json"))
      fail("{} holds neither a run (ledger.json) nor the stages of one (stages.json)",
           run.string());
    runs.push_back(read_run(run.filename().string(), run));
    currency = runs[0].ledger.prices.currency;
  }
  const std::string findings = has_stages ? text_findings(run, record) : "";
  Report report("Report: " + (has_stages ? record.name : runs[0].ledger.name));
  if (has_stages) add_stages(report, record, runs);
  add_accuracy(report, runs, currency, findings);
  add_equal_arithmetic(report, runs);
  add_habits(report, runs);
  for (const RunRecord& one : runs) add_answers(report, one);
  add_learning_curves(report, runs);
  if (has_stages)
    add_outputs(report, run, record);
  else
    add_bill(report, runs[0]);
  report.write(run);
}

}  // namespace minke
