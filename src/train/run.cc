#include "train/run.h"

#include <algorithm>
#include <cmath>

#include "base/folder_lock.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/progress.h"
#include "base/stop_signals.h"
#include "base/threads.h"
#include "config/recipe_file.h"
#include "kernels/isa.h"
#include "kernels/peak.h"
#include "ledger/version.h"
#include "model/memory_plan.h"
#include "train/profile.h"
#include "train/progress.h"
#include "train/trainer.h"

namespace minke {
namespace {

Ledger stored_ledger(const fs::path& run) {
  return fs::exists(run / "ledger.json") ? load_ledger(run) : Ledger();
}

// A line for each key that has another value than before, or is new.
std::string recipe_changes(const std::string& before, const std::string& now) {
  const RecipeValues old = parse_recipe(before, "the run's recipe.toml", {});
  std::string text;
  for (const auto& [key, entry] : parse_recipe(now, "the recipe", {})) {
    const auto found = old.find(key);
    if (found == old.end() || found->second.value != entry.value)
      text += fmt::format("\n  {} = {}{}", key, entry.value.dump(),
                          found == old.end() ? "" : ", was " + found->second.value.dump());
  }
  return text;
}

// Whether `tokens` has passed a multiple of `every` since `before`.
bool passed(int64_t before, int64_t tokens, int64_t every) {
  return every > 0 && before / every != tokens / every;
}

class Run {
 public:
  Run(RunSettings settings, const MakeTraining& make, bool resume,
      const std::optional<fs::path>& checkpoint, bool profile)
      : settings_(std::move(settings)),
        profiling_(profile),
        ledger_(resume ? stored_ledger(settings_.folder) : Ledger()),
        group_(make_local_group()),
        training_(start(make, checkpoint)),
        metrics_(settings_.folder / "metrics.jsonl", checkpoint ? training_->position().step : -1),
        peak_flops_(measured_flops(measured_peaks(), training_->trained().compute())) {
    if (checkpoint) tell_changes();
    write_file(settings_.folder / "recipe.toml", settings_.recipe);
    ledger_.go_on_after(training_->position().step);
    Ledger& ledger = ledger_.update();
    ledger.name = settings_.name;
    ledger.prices = settings_.prices;
    ledger.peak_flops = peak_flops_;
    ledger.planned_memory_bytes = training_->trained().memory_plan().total();
    ledger.recipe_sha256 = sha256(settings_.recipe);
    ledger.data_sha256 = settings_.data_sha256;
    ledger.code_version = code_version();
    ledger.finished = false;
    if (!ledger.curve.empty()) {
      measured_step_ = ledger.curve.back().step;
      bits_per_byte_ = ledger.curve.back().bits_per_byte;
    }
    announce();
  }

  void train() {
    StepReport report;
    report.loss = NAN;  // until there is a step
    while (!training_->done() && !signals_.requested()) {
      const int64_t before = training_->position().tokens;
      const double start = now_seconds();
      if (profiling_) profile_.begin_step();
      report = training_->step();
      const double seconds = now_seconds() - start;
      if (profiling_) profile_.end_step(seconds);
      count_step(training_->position().tokens - before, seconds, report);
      after_step(before, report);
    }
    if (training_->position().step != measured_step_ && training_->done()) validate(report);
    save();
    if (profiling_) write_profile();
    if (training_->done())
      finish();
    else
      info("stopped at step {}; `{} RECIPE --resume` goes on", training_->position().step,
           settings_.command);
  }

 private:
  std::unique_ptr<Training> start(const MakeTraining& make,
                                  const std::optional<fs::path>& checkpoint) {
    auto training = make(*group_, settings_);
    if (checkpoint) {
      training->resume(*checkpoint);
      saved_step_ = training->position().step;
      info("resumed from {}", checkpoint->string());
    }
    return training;
  }

  // What the last session had otherwise: it may be meant, but the run is then another one.
  void tell_changes() {
    const fs::path path = settings_.folder / "recipe.toml";
    const std::string changes =
        fs::exists(path) ? recipe_changes(read_file(path), settings_.recipe) : "";
    if (!changes.empty()) warn("settings that the session before did not have:{}", changes);
    const std::string& data = ledger_.update().data_sha256;
    if (!data.empty() && data != settings_.data_sha256)
      warn("the data are not those of the session before; going on behind sequence {} of theirs",
           training_->position().sequences);
  }

  const char* compute_name() const {
    return training_->trained().compute() == DType::f32 ? "f32" : "bf16";
  }

  void announce() const {
    const TrainableModel& trained = training_->trained();
    const ModelConfig& model = trained.options().model;
    const TrainingMemory& plan = trained.memory_plan();
    info("model: {} parameters, {} active per token; {} on {} threads ({})",
         count_parameters(model), count_active_parameters(model), compute_name(), thread_count(),
         isa_name(active_isa()));
    info(
        "memory plan: {:.2f} GiB = weights and gradients {:.2f}, optimiser {:.2f}, activations and "
        "packed weights {:.2f}, process and data {:.2f}",
        gibibytes(plan.total()), gibibytes(plan.weights), gibibytes(plan.optimizer),
        gibibytes(plan.model), gibibytes(plan.process));
  }

  void count_step(int64_t tokens, double seconds, const StepReport& report) {
    Ledger& ledger = ledger_.update();
    ++ledger.steps;
    ledger.tokens += tokens;
    ledger.training_seconds += seconds;
    ledger.model_flops += report.flops;
    recent_flops_ += report.flops;
    recent_seconds_ += seconds;
    recent_tokens_ += tokens;
    if (report.skipped)
      warn("step {}: the loss is not finite; skipped ({} so far)", training_->position().step,
           training_->position().skipped);
  }

  void after_step(int64_t tokens_before, const StepReport& report) {
    const TrainPosition& position = training_->position();
    if (passed(tokens_before, position.tokens, settings_.validate_every_tokens)) validate(report);
    const bool log = position.step % settings_.log_every_steps == 0 || training_->done();
    if (log) write_progress(report);
    if (passed(tokens_before, position.tokens, settings_.save_every_tokens)) save();
  }

  void write_progress(const StepReport& report) {
    const TrainPosition& position = training_->position();
    const double rate = recent_tokens_ / std::max(1e-9, recent_seconds_);
    const double left = static_cast<double>(settings_.total_tokens - position.tokens);
    Progress progress{report,
                      position,
                      settings_.total_tokens,
                      rate,
                      std::nullopt,
                      bits_per_byte_,
                      left / std::max(1e-9, rate),
                      ledger_.update().cost(),
                      settings_.prices.currency};
    if (peak_flops_ > 0)
      progress.fraction_of_peak = recent_flops_ / std::max(1e-9, recent_seconds_) / peak_flops_;
    metrics_.write(progress_json(progress));
    if (now_seconds() - ledger_written_ > ledger_seconds) write_ledger_file();
    show_progress(progress_line(progress), training_->done() || signals_.requested());
    recent_seconds_ = recent_flops_ = 0;
    recent_tokens_ = 0;
  }

  // A point of the learning curve.
  void validate(const StepReport& report) {
    measured_step_ = training_->position().step;
    bits_per_byte_ = training_->validate();
    Ledger& ledger = ledger_.update();
    ledger.curve.push_back({measured_step_, training_->position().tokens, ledger.wall_seconds,
                            report.loss, bits_per_byte_, ledger.cost()});
    if (bits_per_byte_)
      metrics_.write({{"step", measured_step_},
                      {"tokens", training_->position().tokens},
                      {"bits_per_byte", *bits_per_byte_}});
  }

  // A checkpoint, unless it is there already, and the ledger with its weights.
  void save() {
    if (training_->position().step != saved_step_) training_->save();
    saved_step_ = training_->position().step;
    Ledger& ledger = ledger_.update();
    ledger.finished = training_->done();
    ledger.weights_sha256 = sha256_file(model_folder() / "model.safetensors");
    write_ledger_file();
  }

  // Between checkpoints too, so that a session that is killed is on the bill.
  void write_ledger_file() {
    write_file(settings_.folder / "ledger.json", write_ledger(ledger_.update()));
    ledger_written_ = now_seconds();
  }

  fs::path model_folder() const {
    return checkpoint_folder(settings_.folder, training_->position().step) / "model";
  }

  void write_profile() const {
    const Peaks& peaks = measured_peaks();
    write_file(settings_.folder / "profile.json", profile_.json(peaks).dump(2) + "\n");
    fmt::print("{}", profile_.table(peaks));
  }

  void finish() {
    const Ledger& ledger = ledger_.update();
    info("done: {} tokens in {}{}, {:.4f} {}; the model is in {}", training_->position().tokens,
         format_duration(ledger.wall_seconds),
         bits_per_byte_ ? fmt::format(", {:.3f} bits per byte", *bits_per_byte_) : "",
         ledger.cost(), ledger.prices.currency, model_folder().string());
  }

  static constexpr double ledger_seconds = 5;  // at least, from one ledger.json to the next

  StopSignals signals_;
  RunSettings settings_;
  bool profiling_;
  StepProfile profile_;
  LedgerSession ledger_;
  int64_t measured_step_ = -1, saved_step_ = -1;
  std::unique_ptr<Group> group_;
  std::unique_ptr<Training> training_;
  MetricsWriter metrics_;
  double peak_flops_;
  double recent_seconds_ = 0, recent_flops_ = 0, ledger_written_ = now_seconds();
  int64_t recent_tokens_ = 0;
  std::optional<double> bits_per_byte_;
};

}  // namespace

void run_training(const RunSettings& settings, const MakeTraining& make, bool resume,
                  bool profile) {
  const fs::path& folder = settings.folder;
  const bool begun = fs::exists(folder / "metrics.jsonl") || fs::exists(folder / "checkpoints");
  if (begun && !resume)
    fail_usage(
        "{} already holds a run; continue it with --resume, or choose another folder with "
        "--set output=...",
        folder.string());
  const FolderLock lock(folder, fmt::format("`{}`", settings.command));
  const auto checkpoint = resume ? find_checkpoint(folder) : std::nullopt;
  Run(settings, make, resume, checkpoint, profile).train();
}

void run_training(const TrainConfig& config, bool resume, bool profile) {
  const RunSettings settings{"minke train",
                             config.name,
                             config.output,
                             write_train_config(config),
                             "",
                             config.total_tokens,
                             config.log_every_steps,
                             config.validation.every_tokens,
                             config.checkpoint.every_tokens,
                             config.cost};
  const auto make = [&](Group& group, RunSettings& of_data) {
    auto trainer = std::make_unique<Trainer>(config, group);
    of_data.data_sha256 = sha256_file(fs::path(config.data.path) / "index.json");
    info("data: {} training tokens, {} for validation; this run takes {}",
         trainer->data().index().train.tokens, trainer->data().index().validation.tokens,
         config.total_tokens);
    return trainer;
  };
  run_training(settings, make, resume, profile);
}

}  // namespace minke
