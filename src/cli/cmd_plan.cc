// minke plan RECIPE | MODEL | PRESET: what it costs before it runs.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/files.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/plan_output.h"
#include "config/presets.h"
#include "kernels/peak.h"
#include "ledger/ledger.h"
#include "plan/calibration.h"

namespace minke {
namespace {

struct Arguments {
  std::string source, machine, calibrate, html;
  std::string precision = "auto", schedule = "dualpipe";
  std::vector<std::string> overrides;
  bool published = false, json = false, recompute = false;
  double tokens = 0, price = -1, price_hit = 0, price_miss = 0, price_output = 0;
  int64_t context = 4096, pipeline = 0;
  TrainingJob training{.batch_sequences = 0, .devices = 0};
  Layout layout;
  ServingJob serving{.prefill_experts = 0, .decode_experts = 0};  // 0: search
};

bool is_recipe(const std::string& source) { return fs::path(source).extension() == ".toml"; }

ModelConfig load_model(const std::string& source) {
  constexpr int64_t max_bytes = 1 << 24;
  const fs::path path = source;
  if (path.extension() == ".gguf")
    fail_usage("{}: plans read config.json, recipes and presets, not GGUF yet", source);
  if (fs::is_directory(path))
    return parse_model_config(read_file(path / "config.json", max_bytes), source + "/config.json");
  if (fs::is_regular_file(path)) return parse_model_config(read_file(path, max_bytes), source);
  return model_preset(source);
}

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
  return {measured_flops(peaks, DType::f32), measured_flops(peaks, DType::bf16),
          peaks.memory_bytes_per_second, factor, thread_count()};
}

PlanPart plan_local(const TrainConfig& config) {
  const auto calibration = load_calibration(thread_count());
  const LocalStep step =
      local_step(config, local_rates(calibration ? calibration->step_factor : 1));
  PlanPart part = local_part(config, local_memory(config, thread_count()), process_bytes(config),
                             step, machine().cores);
  part.tables.front().note =
      calibration ? fmt::format(
                        "Calibrated with {}: steps take {:.2f} times what the peaks say, "
                        "peak memory is {:.2f} times the plan.",
                        calibration->run, calibration->step_factor, calibration->memory_factor)
                  : "Not calibrated: `minke plan --calibrate RUN` after a training run.";
  if (calibration) {
    part.json["calibration"] = {{"run", calibration->run},
                                {"step_factor", calibration->step_factor},
                                {"memory_factor", calibration->memory_factor}};
  }
  return part;
}

// Measured by predicted, kept for later plans. Time that other programs took is left out.
void calibrate(const std::string& run, bool json) {
  const Ledger ledger = load_ledger(run);
  const TrainConfig config = load_train_config(fs::path(run) / "recipe.toml", {});
  if (ledger.steps < 1 || ledger.training_seconds <= 0 || ledger.wall_seconds <= 0)
    fail_usage("{}: its ledger has no steps to calibrate with", run);
  const double cores = static_cast<double>(std::min<int64_t>(thread_count(), ledger.cores));
  const double busy = std::min(1.0, ledger.cpu_seconds / ledger.wall_seconds / cores);
  constexpr double quiet = 0.9;
  if (busy < quiet)
    warn(
        "the run had {:.0f} % of its {} threads' time; the rest is left out as other programs'. If "
        "it ran with another number of threads, say --threads",
        100 * busy, cores);
  const double measured = ledger.training_seconds / static_cast<double>(ledger.steps) * busy;
  const double predicted = local_step(config, local_rates(1)).total();
  const double memory =
      static_cast<double>(local_memory(config, thread_count()).total() + process_bytes(config));
  const Calibration c{measured / predicted, static_cast<double>(ledger.peak_memory_bytes) / memory,
                      ledger.name};
  store_calibration(c, thread_count());
  if (json)
    fmt::print("{}\n", nlohmann::ordered_json({{"run", c.run},
                                               {"measured_step_seconds", measured},
                                               {"predicted_step_seconds", predicted},
                                               {"step_factor", c.step_factor},
                                               {"memory_factor", c.memory_factor}})
                           .dump(2));
  else
    fmt::print(
        "step: measured {:.3f} s, predicted {:.3f} s: factor {:.3f}\npeak memory: factor "
        "{:.3f}\nkept in {}\n",
        measured, predicted, c.step_factor, c.memory_factor, calibration_path(thread_count()));
}

MachineFile chosen_machine(const Arguments& a) {
  MachineFile machine = load_machine(a.machine);
  if (a.price >= 0) machine.spec.price_per_hour = a.price;
  return machine;
}

Precision chosen_precision(const Arguments& a, const MachineFile& machine) {
  if (a.precision == "auto") return machine.spec.fp8_tflops > 0 ? Precision::fp8 : Precision::bf16;
  return a.precision == "fp8" ? Precision::fp8 : Precision::bf16;
}

TrainingSearch plan_layouts(const ModelShape& shape, const MachineFile& machine, TrainingJob& job,
                            const Arguments& a) {
  job.tokens = a.tokens;
  if (job.devices == 0) job.devices = machine.spec.devices_per_node;
  if (job.batch_sequences == 0) {  // DeepSeek-V3's batch, rounded up to the devices
    constexpr int64_t sequences = 15360;
    job.batch_sequences = (sequences + job.devices - 1) / job.devices * job.devices;
  }
  if (a.pipeline == 0) return search_training(shape, machine, job);
  Layout layout = a.layout;
  layout.pipeline = a.pipeline;
  layout.recompute = a.recompute;
  layout.schedule =
      a.schedule == "1f1b" || a.pipeline == 1 ? Pipeline::one_f_one_b : Pipeline::dualpipe;
  TrainingSearch search;
  search.best = {plan_training(shape, machine, job, layout)};
  search.tried = 1;
  return search;
}

PlanPart plan_service(const ModelShape& shape, const MachineFile& machine, const Arguments& a,
                      Precision precision) {
  ServingJob job = a.serving;
  job.precision = precision;
  ServiceDay prices;
  prices.input_tokens = 1;
  prices.hit_tokens = job.cache_hits;
  prices.price_hit = a.price_hit;
  prices.price_miss = a.price_miss;
  prices.price_output = a.price_output;
  const bool given = job.prefill_experts > 0 || job.decode_experts > 0;
  job.prefill_experts = std::max<int64_t>(1, job.prefill_experts);
  job.decode_experts = std::max<int64_t>(1, job.decode_experts);
  const ServingPlan plan =
      given ? plan_serving(shape, machine, job) : search_serving(shape, machine, job);
  return serving_part(plan, machine, prices);
}

void show(const Arguments& a, const std::string& title, const std::vector<PlanPart>& parts,
          const PlanPlots& plots) {
  const std::string text = a.json ? plan_json(parts) : plan_text(parts);
  std::fputs(text.c_str(), stdout);
  if (!a.html.empty()) write_file(a.html, plan_html(title, parts, plots));
}

void plan_source(Arguments& a) {
  const bool recipe = is_recipe(a.source);
  ModelConfig model;
  std::vector<PlanPart> parts;
  TrainConfig config;
  if (recipe) {
    config = load_train_config(a.source, a.overrides);
    model = config.model;
    a.context = config.data.sequence_length;
    if (a.tokens == 0) a.tokens = static_cast<double>(config.total_tokens);
    if (a.training.batch_sequences == 0) a.training.batch_sequences = config.batch.sequences;
  } else {
    model = load_model(a.source);
  }
  constexpr double trillion = 1e12;
  if (a.tokens == 0) a.tokens = trillion;
  const ModelShape shape = shape_of(model);
  parts.push_back(model_part(shape, a.context));
  PlanPlots plots;
  if (recipe && (a.machine.empty() || a.machine == "this")) parts.push_back(plan_local(config));
  MachineFile machine;
  if (!a.machine.empty() && a.machine != "this") {
    machine = chosen_machine(a);
    plots = {{}, &machine, &shape, a.tokens};
    a.training.precision = chosen_precision(a, machine);
    a.training.sequence_length = a.context;
    const TrainingSearch search = plan_layouts(shape, machine, a.training, a);
    parts.push_back(training_part(search, machine, a.training));
    plots.layouts = search.best;
    try {
      parts.push_back(plan_service(shape, machine, a, a.training.precision));
    } catch (const Error& error) {
      if (a.serving.prefill_experts + a.serving.decode_experts + a.serving.batch > 0) throw;
      info("no serving plan: {}", error.what());
    }
    parts.push_back(assumptions_part(machine));
  } else if (!recipe && a.machine == "this") {
    fail_usage("--machine this plans recipes; give a model a machine of docs/plan.md, or a recipe");
  }
  show(a, a.source, parts, plots);
}

void plan(Arguments& a) {
  if (!a.calibrate.empty()) return calibrate(a.calibrate, a.json);
  if (a.published) {
    const MachineFile machine = load_machine("h800");
    return show(a, "DeepSeek-V3, published and predicted",
                {published_part(), assumptions_part(machine)}, {});
  }
  if (a.source.empty())
    fail_usage("a recipe, a model or a preset is needed, for instance `minke plan deepseek-v3`");
  plan_source(a);
}

void add_training_options(CLI::App& command, Arguments& a) {
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 24);
  command.add_option("--tokens", a.tokens, "Tokens to train on; default: the recipe's, or 1e12")
      ->check(CLI::Range(1.0, 1e18));
  command.add_option("--devices", a.training.devices, "Devices that train; default: a node's")
      ->check(count);
  command.add_option("--batch", a.training.batch_sequences, "Sequences of a step")->check(count);
  command.add_option("--zero", a.training.zero_stage, "ZeRO stage")->check(CLI::Range(0, 3));
  command.add_option("--pipeline", a.pipeline, "Only this number of stages; with the next four")
      ->check(CLI::Range(1, 1024));
  command.add_option("--experts", a.layout.experts, "Devices that share the experts")->check(count);
  command.add_option("--micro-batch", a.layout.micro_batch, "Sequences of a micro-batch")
      ->check(count);
  command.add_option("--schedule", a.schedule, "1f1b or dualpipe")
      ->check(CLI::IsMember({"1f1b", "dualpipe"}));
  command.add_flag("--recompute", a.recompute, "Recompute norms, up-projections and SwiGLU");
}

void add_serving_options(CLI::App& command, Arguments& a) {
  ServingJob& s = a.serving;
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 24);
  command.add_option("--prompt", s.prompt, "Tokens of a prompt")->check(CLI::Range(1.0, 1e8));
  command.add_option("--cache-hits", s.cache_hits, "Share of prompt tokens found in a cache")
      ->check(CLI::Range(0.0, 0.999));
  command.add_option("--serving-context", s.context, "Mean tokens in the cache in generation")
      ->check(CLI::Range(1.0, 1e8));
  command.add_option("--serving-batch", s.batch, "Sequences of a device; default: as many as fit")
      ->check(count);
  command.add_option("--least-speed", s.least_speed, "Tokens/s that every user must get")
      ->check(CLI::Range(0.01, 1e6));
  command.add_option("--prefill-experts", s.prefill_experts, "Devices of a prompt unit")
      ->check(count);
  command.add_option("--decode-experts", s.decode_experts, "Devices of a generation unit")
      ->check(count);
  command.add_option("--redundant-experts", s.redundant_experts, "Copies beyond one of each")
      ->check(CLI::Range(0, 4096));
  const auto price = CLI::Range(0.0, 1e6);
  command.add_option("--price", a.price, "USD for a device and hour, not the machine's")
      ->check(price);
  command.add_option("--price-hit", a.price_hit, "USD for a million cached prompt tokens")
      ->check(price);
  command.add_option("--price-miss", a.price_miss, "USD for a million other prompt tokens")
      ->check(price);
  command.add_option("--price-output", a.price_output, "USD for a million generated tokens")
      ->check(price);
}

}  // namespace

void add_plan_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("plan", "Tell what a model or a run costs before it runs");
  command->add_option("source", a->source, "Recipe, Hugging Face folder, config.json or preset");
  command->add_option("--set", a->overrides, "Override a recipe's key: section.key=value")
      ->expected(1)
      ->take_all();
  command->add_option("--machine", a->machine, "this, a preset or a TOML file; see docs/plan.md");
  command->add_option("--precision", a->precision, "bf16, fp8 or auto")
      ->check(CLI::IsMember({"auto", "bf16", "fp8"}));
  command->add_option("--context", a->context, "Tokens of a sequence")
      ->check(CLI::Range(1, 1 << 30));
  add_training_options(*command, *a);
  add_serving_options(*command, *a);
  command->add_flag("--published", a->published, "DeepSeek-V3's bills beside this planner's");
  command->add_option("--calibrate", a->calibrate, "Learn from a finished run's folder");
  command->add_flag("--json", a->json, "Print JSON");
  command->add_option("--html", a->html, "Also write a page with plots");
  command->callback([a] { plan(*a); });
}

}  // namespace minke
