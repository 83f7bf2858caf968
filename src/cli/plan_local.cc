#include "cli/plan_local.h"

#include <algorithm>

#include "base/files.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/threads.h"
#include "kernels/peak.h"
#include "ledger/ledger.h"
#include "ledger/metrics.h"

namespace minke {
namespace {

// The pages of training data that a run has in memory.
int64_t process_bytes(const TrainConfig& config) {
  int64_t bytes = local_process_bytes;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(config.data.path, ignored))
    if (entry.path().extension() == ".bin") bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

LocalRates local_rates(double factor) {
  const Peaks& peaks = measured_peaks();
  return {measured_flops(peaks, DType::f32),
          measured_flops(peaks, DType::bf16),
          peaks.best("int8"),
          peaks.memory_bytes_per_second,
          factor,
          thread_count()};
}

void warn_if_busy(double share) {
  constexpr double quiet = 0.9;
  if (share < quiet)
    warn(
        "what was measured had {:.0f} % of its threads' time: other programs had the cores, and "
        "the factors are too large. Or it ran with another number of threads: say --threads",
        100 * share);
}

// Seconds of a step, as the upper quartile of the rates in metrics.jsonl: other programs can only
// slow a step. Without metrics the ledger's mean.
double measured_step(const fs::path& run, const TrainConfig& config, const Ledger& ledger) {
  std::vector<double> rates;
  for (const auto& line : read_metrics(run / "metrics.jsonl"))
    if (line.contains("tokens_per_second") && line["tokens_per_second"].is_number())
      rates.push_back(line["tokens_per_second"].get<double>());
  if (rates.empty()) return ledger.training_seconds / static_cast<double>(ledger.steps);
  std::sort(rates.begin(), rates.end());
  const double rate = rates[rates.size() - 1 - rates.size() / 4];
  return static_cast<double>(config.batch.sequences * config.data.sequence_length) / rate;
}

void report(const nlohmann::ordered_json& values, bool json) {
  if (json) return void(fmt::print("{}\n", values.dump(2)));
  for (const auto& [key, value] : values.items())
    if (value.is_number())
      fmt::print("{}: {:.4g}\n", key, value.get<double>());
    else
      fmt::print("{}: {}\n", key, value.get<std::string>());
  fmt::print("kept in {}\n", calibration_path(thread_count()));
}

nlohmann::ordered_json calibrate_training(const fs::path& run, Calibration& calibration) {
  const Ledger ledger = load_ledger(run);
  const TrainConfig config = load_train_config(run / "recipe.toml", {});
  if (ledger.steps < 1 || ledger.training_seconds <= 0 || ledger.wall_seconds <= 0)
    fail_usage("{}: its ledger has no steps to calibrate with", run.string());
  const auto cores = static_cast<double>(std::min<int64_t>(thread_count(), ledger.cores));
  warn_if_busy(ledger.cpu_seconds / ledger.wall_seconds / cores);
  const double measured = measured_step(run, config, ledger);
  const double predicted = local_step(config, local_rates(1)).total();
  const auto memory =
      static_cast<double>(local_memory(config, thread_count()).total() + process_bytes(config));
  calibration.run = ledger.name;
  calibration.step_factor = measured / predicted;
  calibration.memory_factor = static_cast<double>(ledger.peak_memory_bytes) / memory;
  return {{"run", calibration.run},
          {"measured_step_seconds", measured},
          {"predicted_step_seconds", predicted},
          {"step_factor", calibration.step_factor},
          {"memory_factor", calibration.memory_factor}};
}

// What `minke generate --json` tells of its time.
struct MeasuredGeneration {
  std::string model;
  bool f32 = false;
  int64_t prompt = 0, tokens = 0;
  double prompt_seconds = 0, generation_seconds = 0, share = 1;
};

MeasuredGeneration read_generation(const std::string& file) {
  const auto json = nlohmann::json::parse(read_file(file, 1 << 26), nullptr, false);
  MeasuredGeneration m;
  try {
    m.model = json.at("model");
    m.f32 = json.at("compute") == "f32";
    m.prompt = json.at("prompt_tokens");
    m.tokens = static_cast<int64_t>(json.at("tokens").size());
    m.prompt_seconds = json.at("prompt_seconds");
    m.generation_seconds = json.at("generation_seconds");
    m.share = json.at("cpu_share");
    if (const int threads = json.at("threads"); threads != thread_count())
      fail_usage("{}: measured with {} threads, and this is with {}; say --threads {}", file,
                 threads, thread_count(), threads);
  } catch (const nlohmann::json::exception& error) {
    fail_usage("{}: expected a run's folder, or what `minke generate --json` printed ({})", file,
               error.what());
  }
  constexpr int64_t fewest = 16;
  if (m.prompt < fewest || m.tokens < fewest || m.prompt_seconds <= 0 || m.generation_seconds <= 0)
    fail_usage("{}: {} prompt tokens and {} generated ones, expected at least {} of each", file,
               m.prompt, m.tokens, fewest);
  return m;
}

nlohmann::ordered_json calibrate_serving(const std::string& file, Calibration& calibration) {
  const MeasuredGeneration m = read_generation(file);
  const PlannedModel model = load_planned_model(m.model);
  warn_if_busy(m.share);
  const LocalServingJob job{m.f32, m.prompt, m.prompt + m.tokens / 2, 1};
  const LocalServing plan = local_serving(model.config, model.weights, job, local_rates(1), {}, 0);
  const double step = m.generation_seconds / static_cast<double>(m.tokens - 1);
  calibration.model = fs::path(m.model).filename().string();
  calibration.prompt_factor = m.prompt_seconds / plan.prompt.total();
  calibration.generation_factor = step / plan.generation.total();
  return {{"model", calibration.model},
          {"measured_prompt_seconds", m.prompt_seconds},
          {"predicted_prompt_seconds", plan.prompt.total()},
          {"prompt_factor", calibration.prompt_factor},
          {"measured_token_seconds", step},
          {"predicted_token_seconds", plan.generation.total()},
          {"generation_factor", calibration.generation_factor}};
}

}  // namespace

PlanPart plan_local_training(const TrainConfig& config) {
  const Calibration calibration = load_calibration(thread_count());
  return local_part(config, local_memory(config, thread_count()), process_bytes(config),
                    local_step(config, local_rates(calibration.step_factor)), machine().cores,
                    calibration);
}

PlanPart plan_local_service(const PlannedModel& model, const LocalServingJob& job, double core_hour,
                            const ServiceDay& prices) {
  const int64_t most = model.config.max_position_embeddings;
  if (std::max(job.prompt, job.context) > most)
    fail_usage("prompts of {} and a context of {} tokens: the model handles {}", job.prompt,
               job.context, most);
  const Calibration c = load_calibration(thread_count());
  const LocalServing plan =
      local_serving(model.config, model.weights, job, local_rates(1),
                    {c.prompt_factor, c.generation_factor}, core_hour * machine().cores);
  return local_serving_part(plan, local_serving_memory(model.config, model.weights, job), job,
                            thread_count(), machine().memory_bytes, prices, c);
}

void calibrate(const std::string& measured, bool json) {
  if (!fs::exists(measured)) fail_usage("{}: there is no such run or file", measured);
  Calibration calibration = load_calibration(thread_count());
  const auto values = fs::is_regular_file(measured) ? calibrate_serving(measured, calibration)
                                                    : calibrate_training(measured, calibration);
  store_calibration(calibration, thread_count());
  report(values, json);
}

}  // namespace minke
