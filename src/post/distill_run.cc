#include "post/distill_run.h"

#include "base/folder_lock.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/progress.h"
#include "base/stop_signals.h"
#include "base/threads.h"
#include "kernels/isa.h"
#include "kernels/peak.h"
#include "ledger/ledger.h"
#include "ledger/metrics.h"
#include "ledger/version.h"
#include "post/distill_samples.h"
#include "post/on_policy.h"
#include "post/sft.h"
#include "train/progress.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

SftConfig sft_config(const DistillConfig& c) {
  SftConfig sft;
  sft.name = c.name;
  sft.output = c.output;
  sft.model = c.model;
  sft.epochs = c.sft.epochs;
  sft.compute = c.compute;
  sft.data.train = (fs::path(c.output) / "samples.jsonl").string();
  sft.data.max_tokens = c.sft.max_tokens;
  sft.data.seed = c.seed;
  sft.batch = {c.sft.batch_tokens, c.sft.micro_batch_tokens};
  sft.optimizer = c.optimizer;
  sft.schedule = c.schedule;
  sft.checkpoint.keep = c.checkpoint.keep;
  return sft;
}

Json step_json(const StepReport& r, const TrainPosition& position) {
  return {{"step", position.step},
          {"tokens", position.tokens},
          {"loss", r.loss},
          {"gradient_norm", r.gradient_norm},
          {"learning_rate", r.learning_rate},
          {"skipped_steps", position.skipped},
          {"flops", r.flops}};
}

Json on_policy_json(const OnPolicyReport& r) {
  Json line = to_json(r.answers);
  line.update({{"rollout_tokens", r.rollout_tokens},
               {"trained_tokens", r.trained_tokens},
               {"rollout_seconds", r.rollout_seconds},
               {"judge_seconds", r.judge_seconds},
               {"teacher_seconds", r.teacher_seconds},
               {"training_seconds", r.training_seconds},
               {"teacher_flops", r.teacher_flops}});
  return line;
}

class Run {
 public:
  Run(const DistillConfig& config, bool resume)
      : config_(config),
        folder_(config.output),
        resume_(resume),
        checkpoint_(resume ? find_checkpoint(folder_) : std::nullopt),
        group_(make_local_group()),
        ledger_(resume && fs::exists(folder_ / "ledger.json") ? load_ledger(folder_) : Ledger()) {
    fs::create_directories(folder_);
    write_file(folder_ / "recipe.toml", write_distill_config(config));
    Ledger& ledger = ledger_.update();
    ledger.name = config.name;
    ledger.prices = config.cost;
    ledger.peak_flops = measured_flops(
        measured_peaks(), config.compute == ComputeDType::f32 ? DType::f32 : DType::bf16);
    ledger.recipe_sha256 = sha256(write_distill_config(config));
    ledger.code_version = code_version();
  }

  void run() {
    if (config_.method == DistillMethod::samples) sample();
    make_training();
    if (training_->position().step == 0) evaluate();
    while (!training_->done() && !signals_.requested()) {
      step();
      if (training_->done() || passes(config_.evaluation.every_steps)) evaluate();
      if (training_->done() || signals_.requested() || passes(config_.checkpoint.every_steps))
        save();
    }
    if (!training_->done())
      return info("stopped at step {}; `minke distill RECIPE --resume` goes on",
                  training_->position().step);
    const Ledger& ledger = ledger_.update();
    // It was killed between the last checkpoint and its ledger.
    if (!ledger.finished) save_ledger_with_weights();
    info("done: {} steps in {}, {:.4f} {}; the model is in {}", training_->position().step,
         format_duration(ledger.wall_seconds), ledger.cost(), ledger.prices.currency,
         model_folder().string());
  }

 private:
  bool passes(int64_t every) const { return every > 0 && training_->position().step % every == 0; }

  fs::path model_folder() const {
    return checkpoint_folder(folder_, training_->position().step) / "model";
  }

  // The bill goes to disk now and then, so that an interruption loses little of it.
  void sample() {
    constexpr double every_seconds = 5.0;
    double shown = now_seconds();
    samples_ = sample_teacher(config_, [&](const SampleCounts& counts) {
      if (signals_.requested())
        fail("stopped after {} answers of the teacher; `minke distill RECIPE --resume` goes on",
             counts.sampled);
      if (now_seconds() - shown < every_seconds) return;
      shown = now_seconds();
      show_progress(progress(counts), false);
      save_ledger();
    });
    info(
        "teacher: {} answers to {} problems, {:.1f} % right; {} kept of {} problems ({} the same "
        "as another, {} cut off, {} unusable); {:.3g} operations, {}",
        samples_->sampled, samples_->problems, 100.0 * samples_->right / samples_->sampled,
        samples_->kept, samples_->solved, samples_->duplicates, samples_->truncated,
        samples_->unusable, samples_->flops, format_duration(samples_->seconds));
    if (checkpoint_) return;  // the ledger has it already
    Ledger& ledger = ledger_.update();
    ledger.model_flops = samples_->flops;
    ledger.training_seconds = samples_->seconds;
    save_ledger();
  }

  std::string progress(const SampleCounts& counts) const {
    const int64_t total = counts.problems * config_.samples.per_problem;
    return fmt::format("teacher: {} of {} answers  right {:.1f} %  {:.0f} tok/s", counts.sampled,
                       total, 100.0 * counts.right / counts.sampled,
                       counts.tokens() / std::max(1e-9, counts.seconds));
  }

  void make_training() {
    if (config_.method == DistillMethod::samples) {
      auto trainer = std::make_unique<SftTrainer>(sft_config(config_), *group_);
      ledger_.update().data_sha256 = trainer->data().sha256();
      own_student_ = std::make_unique<Student>(config_, trainer->trained(), resume_);
      student_ = own_student_.get();
      training_ = std::move(trainer);
    } else {
      auto trainer = std::make_unique<OnPolicyTrainer>(config_, *group_, resume_);
      on_policy_ = trainer.get();
      student_ = &trainer->student();
      training_ = std::move(trainer);
    }
    ledger_.update().planned_memory_bytes = planned_bytes();
    if (checkpoint_) {
      training_->resume(*checkpoint_);
      info("resumed from {}", checkpoint_->string());
    }
    metrics_.emplace(folder_ / "metrics.jsonl", checkpoint_ ? training_->position().step : -1);
    if (checkpoint_)
      read_flops();
    else if (samples_)
      write_samples_line();
    info("student: {} parameters; {} on {} threads ({})",
         count_parameters(training_->trained().options().model),
         config_.compute == ComputeDType::f32 ? "f32" : "bf16", thread_count(),
         isa_name(active_isa()));
  }

  // Of the training, the student's rollouts and an on-policy teacher.
  int64_t planned_bytes() const {
    const int64_t bytes = training_->trained().memory_plan().total() + student_->planned_bytes();
    return on_policy_ ? bytes + on_policy_->teacher().planned_bytes() : bytes;
  }

  // Of the steps that a resumed run keeps, and of the sampling.
  void read_flops() {
    for (const Json& line : read_metrics(folder_ / "metrics.jsonl")) {
      if (line.contains("held_out")) continue;
      flops_ += line.at("flops").get<double>();
      teacher_flops_ += line.value("teacher_flops", 0.0);
    }
  }

  void write_samples_line() {
    Json line = {{"step", 0}};
    line.update(to_json(*samples_));
    line["flops"] = samples_->flops;
    line["cost"] = ledger_.update().cost();
    metrics_->write(line);
    flops_ = teacher_flops_ = samples_->flops;
  }

  void step() {
    const double start = now_seconds();
    const int64_t tokens_before = training_->position().tokens;
    const StepReport report = training_->step();
    const TrainPosition& position = training_->position();
    Ledger& ledger = ledger_.update();
    ++ledger.steps;
    ledger.tokens += position.tokens - tokens_before;
    ledger.training_seconds += now_seconds() - start;
    ledger.model_flops += report.flops;
    flops_ += report.flops;
    Json line = step_json(report, position);
    if (on_policy_) {
      line.update(on_policy_json(on_policy_->last()));
      teacher_flops_ += on_policy_->last().teacher_flops;
    }
    line["cost"] = ledger.cost();
    metrics_->write(line);
    if (report.skipped) warn("step {}: the loss is not finite; skipped", position.step);
    show(report, now_seconds() - start);
  }

  void show(const StepReport& report, double seconds) const {
    const int64_t step = training_->position().step;
    std::string line =
        fmt::format("step {}  {} {:.4f}  norm {:.2f}  {:.1f} s", step,
                    on_policy_ ? "divergence" : "loss", report.loss, report.gradient_norm, seconds);
    if (on_policy_)
      line +=
          fmt::format("  right {:.1f} %  length {:.1f}", 100 * on_policy_->last().answers.pass_at_1,
                      on_policy_->last().answers.length);
    constexpr int64_t kept_every = 10;
    show_progress(line, training_->done() || step % kept_every == 0);
  }

  void evaluate() {
    const HeldOutResult result = student_->evaluate();
    if (result.sampled.answers == 0) return;
    const int64_t step = training_->position().step;
    Json line = {{"step", step}};
    line.update(to_json(result));
    line.update(
        {{"flops", flops_}, {"teacher_flops", teacher_flops_}, {"cost", ledger_.update().cost()}});
    metrics_->write(line);
    info("held out, step {}: {}", step, describe(result));
  }

  void save() {
    training_->save();
    save_ledger_with_weights();
  }

  // The bill with the weights of the checkpoint.
  void save_ledger_with_weights() {
    ledger_.update().finished = training_->done();
    ledger_.update().weights_sha256 = sha256_file(model_folder() / "model.safetensors");
    save_ledger();
  }

  void save_ledger() { write_file(folder_ / "ledger.json", write_ledger(ledger_.update())); }

  StopSignals signals_;
  DistillConfig config_;
  fs::path folder_;
  bool resume_;
  std::optional<fs::path> checkpoint_;
  std::unique_ptr<Group> group_;
  LedgerSession ledger_;
  std::optional<SampleCounts> samples_;
  std::unique_ptr<Training> training_;
  std::unique_ptr<Student> own_student_;  // of fine-tuning
  OnPolicyTrainer* on_policy_ = nullptr;  // training_, where it is one
  Student* student_ = nullptr;
  std::optional<MetricsWriter> metrics_;
  double flops_ = 0.0, teacher_flops_ = 0.0;  // up to the step; the first include the second
};

}  // namespace

void run_distill(const DistillConfig& config, bool resume) {
  const fs::path folder = config.output;
  bool begun = false;
  for (const char* name : {"metrics.jsonl", "checkpoints", "teacher.jsonl"})
    begun |= fs::exists(folder / name);
  if (begun && !resume)
    fail_usage(
        "{} already holds a run; continue it with --resume, or choose another folder with "
        "--set output=...",
        folder.string());
  const FolderLock lock(folder, "`minke distill`");
  Run(config, resume).run();
}

}  // namespace minke
