// minke plan RECIPE | MODEL | PRESET: what it costs before it runs.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/files.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/plan_local.h"
#include "cli/plan_output.h"

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
  return judge_layout(shape, machine, job, layout);
}

// Tokens of which the given prices are paid.
ServiceDay given_prices(const Arguments& a) {
  ServiceDay prices;
  prices.input_tokens = 1;
  prices.hit_tokens = a.serving.cache_hits;
  prices.price_hit = a.price_hit;
  prices.price_miss = a.price_miss;
  prices.price_output = a.price_output;
  return prices;
}

PlanPart plan_service(const ModelShape& shape, const MachineFile& machine, const Arguments& a,
                      Precision precision) {
  ServingJob job = a.serving;
  job.precision = precision;
  const bool given = job.prefill_experts > 0 || job.decode_experts > 0;
  job.prefill_experts = std::max<int64_t>(1, job.prefill_experts);
  job.decode_experts = std::max<int64_t>(1, job.decode_experts);
  const ServingPlan plan =
      given ? plan_serving(shape, machine, job) : search_serving(shape, machine, job);
  return serving_part(plan, machine, given_prices(a));
}

// Tokens that were not asked for are as many as the model can have.
PlanPart plan_service_here(const PlannedModel& model, const Arguments& a, double core_hour) {
  const auto tokens = [&](double asked, double usual) {
    const auto most = static_cast<double>(model.config.max_position_embeddings);
    return static_cast<int64_t>(asked == usual ? std::min(asked, most) : asked);
  };
  const ServingJob usual;
  LocalServingJob job{model.f32, tokens(a.serving.prompt, usual.prompt),
                      tokens(a.serving.context, usual.context),
                      std::max<int64_t>(1, a.serving.batch)};
  return plan_local_service(model, job, a.price >= 0 ? a.price : core_hour, given_prices(a));
}

void show(const Arguments& a, const std::string& title, const std::vector<PlanPart>& parts,
          const PlanPlots& plots) {
  const std::string text = a.json ? plan_json(parts) : plan_text(parts);
  std::fputs(text.c_str(), stdout);
  if (!a.html.empty()) write_file(a.html, plan_html(title, parts, plots));
}

// Training and serving on a cluster.
void plan_cluster(const ModelShape& shape, const MachineFile& machine, Arguments& a,
                  std::vector<PlanPart>& parts, PlanPlots& plots) {
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
}

// What a recipe says and the call does not.
PlannedModel load_recipe(Arguments& a, TrainConfig& config) {
  config = load_train_config(a.source, a.overrides);
  a.context = config.data.sequence_length;
  if (a.tokens == 0) a.tokens = static_cast<double>(config.total_tokens);
  if (a.training.batch_sequences == 0) a.training.batch_sequences = config.batch.sequences;
  return planned_model(config.model);
}

void plan_source(Arguments& a) {
  const bool recipe = is_recipe(a.source);
  TrainConfig config;
  const PlannedModel model = recipe ? load_recipe(a, config) : load_planned_model(a.source);
  constexpr double trillion = 1e12;
  if (a.tokens == 0) a.tokens = trillion;
  const ModelShape shape = shape_of(model.config);
  std::vector<PlanPart> parts = {model_part(shape, a.context)};
  if (!model.formats.empty()) parts.push_back(stored_part(model.formats));
  const bool here = a.machine == "this" || (recipe && a.machine.empty());
  if (here && recipe) parts.push_back(plan_local_training(config));
  if (here) parts.push_back(plan_service_here(model, a, config.cost.per_core_hour));
  PlanPlots plots;
  MachineFile machine;
  if (!a.machine.empty() && !here) {
    machine = chosen_machine(a);
    plan_cluster(shape, machine, a, parts, plots);
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
  command
      .add_option("--serving-batch", s.batch,
                  "Sequences of a device; default: as many as fit, here 1")
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
  command
      .add_option("--price", a.price,
                  "USD for a device and hour, here for a core; not the machine's")
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
  command->add_option("source", a->source,
                      "Recipe, GGUF file, Hugging Face folder, config.json or preset");
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
  command->add_option("--calibrate", a->calibrate,
                      "Learn from a run's folder, or from what `minke generate --json` printed");
  command->add_flag("--json", a->json, "Print JSON");
  command->add_option("--html", a->html, "Also write a page with plots");
  command->callback([a] { plan(*a); });
}

}  // namespace minke
