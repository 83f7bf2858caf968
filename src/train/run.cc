#include "train/run.h"

#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "base/machine.h"
#include "base/threads.h"
#include "kernels/isa.h"
#include "kernels/peak.h"
#include "ledger/version.h"
#include "plan/flops.h"
#include "train/profile.h"
#include "train/progress.h"

namespace minke {
namespace {

volatile std::sig_atomic_t stop_requested = 0;

// SIGINT and SIGTERM ask the loop to stop after its step; a second one ends the program at once.
class StopSignals {
 public:
  StopSignals() {
    stop_requested = 0;
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, &request);
  }
  ~StopSignals() {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
  }

 private:
  static void request(int signal) {
    stop_requested = 1;
    std::signal(signal, SIG_DFL);
  }
};

std::string gibibytes(int64_t bytes) { return fmt::format("{:.2f} GiB", bytes / 1073741824.0); }

Ledger stored_ledger(const fs::path& run) {
  return fs::exists(run / "ledger.json") ? load_ledger(run) : Ledger();
}

// Whether `tokens` has passed a multiple of `every` since `before`.
bool passed(int64_t before, int64_t tokens, int64_t every) {
  return every > 0 && before / every != tokens / every;
}

class Run {
 public:
  Run(const TrainConfig& config, const std::optional<fs::path>& checkpoint, bool profile)
      : folder_(config.output),
        profiling_(profile),
        group_(make_local_group()),
        trainer_(start(config, checkpoint)),
        ledger_(checkpoint ? stored_ledger(folder_) : Ledger(), trainer_->position().step),
        metrics_(folder_ / "metrics.jsonl", checkpoint ? trainer_->position().step : -1),
        flops_per_token_(training_flops_per_token(config.model, config.data.sequence_length)),
        peak_flops_(measured_peaks().best(config.compute == ComputeDType::f32 ? "f32" : "bf16")) {
    write_file(folder_ / "recipe.toml", write_train_config(config));
    Ledger& ledger = ledger_.update();
    ledger.name = config.name;
    ledger.prices = config.cost;
    ledger.peak_flops = peak_flops_;
    ledger.planned_memory_bytes = trainer_->memory_plan().total();
    ledger.recipe_sha256 = sha256(write_train_config(config));
    ledger.data_sha256 = sha256_file(fs::path(config.data.path) / "index.json");
    ledger.code_version = code_version();
    if (!ledger.curve.empty()) {
      measured_step_ = ledger.curve.back().step;
      bits_per_byte_ = ledger.curve.back().bits_per_byte;
    }
    announce();
  }

  void train() {
    const StopSignals signals;
    StepReport report;
    while (!trainer_->done() && !stop_requested) {
      const int64_t before = trainer_->position().tokens;
      const double start = now_seconds();
      if (profiling_) profile_.begin_step();
      report = trainer_->step();
      const double seconds = now_seconds() - start;
      if (profiling_) profile_.end_step(seconds);
      count_step(trainer_->position().tokens - before, seconds, report);
      after_step(before, report);
    }
    if (trainer_->position().step != measured_step_ && trainer_->done()) validate(report);
    if (trainer_->position().step != saved_step_) save();
    if (profiling_) write_profile();
    if (trainer_->done())
      finish();
    else
      info("stopped at step {}; `minke train RECIPE --resume` goes on", trainer_->position().step);
  }

 private:
  std::unique_ptr<Trainer> start(const TrainConfig& config,
                                 const std::optional<fs::path>& checkpoint) {
    auto trainer = std::make_unique<Trainer>(config, *group_);
    if (checkpoint) {
      trainer->resume(*checkpoint);
      info("resumed from {}", checkpoint->string());
    }
    return trainer;
  }

  void announce() const {
    const TrainConfig& config = trainer_->config();
    const TrainingMemory& plan = trainer_->memory_plan();
    info("model: {} parameters, {} active per token; {} on {} threads ({})",
         count_parameters(config.model), count_active_parameters(config.model),
         config.compute == ComputeDType::f32 ? "f32" : "bf16", thread_count(),
         isa_name(active_isa()));
    info(
        "memory plan: {} = weights and gradients {}, optimiser {}, activations and packed weights "
        "{}, process and data {}",
        gibibytes(plan.total()), gibibytes(plan.weights), gibibytes(plan.optimizer),
        gibibytes(plan.model), gibibytes(plan.process));
    info("data: {} training tokens, {} for validation; this run takes {}",
         trainer_->data().index().train.tokens, trainer_->data().index().validation.tokens,
         config.total_tokens);
  }

  void count_step(int64_t tokens, double seconds, const StepReport& report) {
    Ledger& ledger = ledger_.update();
    ++ledger.steps;
    ledger.tokens += tokens;
    ledger.training_seconds += seconds;
    ledger.model_flops += flops_per_token_ * static_cast<double>(tokens);
    recent_seconds_ += seconds;
    recent_tokens_ += tokens;
    if (report.skipped)
      warn("step {}: the loss is not finite; skipped ({} so far)", trainer_->position().step,
           trainer_->position().skipped);
  }

  void after_step(int64_t tokens_before, const StepReport& report) {
    const TrainConfig& config = trainer_->config();
    const TrainPosition& position = trainer_->position();
    if (passed(tokens_before, position.tokens, config.validation.every_tokens)) validate(report);
    const bool log = position.step % config.log_every_steps == 0 || trainer_->done();
    if (log) write_progress(report);
    if (passed(tokens_before, position.tokens, config.checkpoint.every_tokens)) save();
  }

  void write_progress(const StepReport& report) {
    const TrainPosition& position = trainer_->position();
    const double rate = recent_tokens_ / std::max(1e-9, recent_seconds_);
    const double left = static_cast<double>(trainer_->config().total_tokens - position.tokens);
    Progress progress{report,
                      position,
                      trainer_->config().total_tokens,
                      rate,
                      std::nullopt,
                      bits_per_byte_,
                      left / std::max(1e-9, rate),
                      ledger_.update().cost(),
                      trainer_->config().cost.currency};
    if (peak_flops_ > 0) progress.fraction_of_peak = rate * flops_per_token_ / peak_flops_;
    metrics_.write(progress_json(progress));
    show_progress(progress_line(progress), trainer_->done() || stop_requested);
    recent_seconds_ = 0;
    recent_tokens_ = 0;
  }

  // A point of the learning curve.
  void validate(const StepReport& report) {
    measured_step_ = trainer_->position().step;
    bits_per_byte_ = trainer_->validate();
    Ledger& ledger = ledger_.update();
    ledger.curve.push_back({measured_step_, trainer_->position().tokens, ledger.wall_seconds,
                            report.loss, bits_per_byte_, ledger.cost()});
    metrics_.write({{"step", measured_step_},
                    {"tokens", trainer_->position().tokens},
                    {"bits_per_byte", *bits_per_byte_}});
  }

  void save() {
    saved_step_ = trainer_->position().step;
    trainer_->save();
    Ledger& ledger = ledger_.update();
    ledger.weights_sha256 = sha256_file(model_folder() / "model.safetensors");
    write_file(folder_ / "ledger.json", write_ledger(ledger));
  }

  fs::path model_folder() const {
    return checkpoint_folder(folder_, trainer_->position().step) / "model";
  }

  void write_profile() const {
    const Peaks& peaks = measured_peaks();
    write_file(folder_ / "profile.json", profile_.json(peaks).dump(2) + "\n");
    fmt::print("{}", profile_.table(peaks));
  }

  void finish() {
    const Ledger& ledger = ledger_.update();
    info("done: {} tokens in {}, {:.3f} bits per byte, {:.4f} {}; the model is in {}",
         trainer_->position().tokens, format_duration(ledger.wall_seconds),
         bits_per_byte_.value_or(0.0), ledger.cost(), ledger.prices.currency,
         model_folder().string());
  }

  fs::path folder_;
  bool profiling_;
  StepProfile profile_;
  std::unique_ptr<Group> group_;
  std::unique_ptr<Trainer> trainer_;
  LedgerSession ledger_;
  MetricsWriter metrics_;
  double flops_per_token_, peak_flops_;
  double recent_seconds_ = 0;
  int64_t recent_tokens_ = 0;
  std::optional<double> bits_per_byte_;
  int64_t measured_step_ = -1, saved_step_ = -1;
};

}  // namespace

void run_training(const TrainConfig& config, bool resume, bool profile) {
  const fs::path folder = config.output;
  const bool begun = fs::exists(folder / "metrics.jsonl") || fs::exists(folder / "checkpoints");
  if (begun && !resume)
    fail_usage(
        "{} already holds a run; continue it with --resume, or choose another folder with "
        "--set output=...",
        folder.string());
  const auto checkpoint = resume ? find_checkpoint(folder) : std::nullopt;
  Run(config, checkpoint, profile).train();
}

}  // namespace minke
