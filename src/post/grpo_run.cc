#include "post/grpo_run.h"

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
#include "post/grpo.h"
#include "train/progress.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

Json step_json(const GrpoStepReport& r, const TrainPosition& position, double cost) {
  Json line = {{"step", position.step}};
  line.update(to_json(r.answers));
  line.update({{"pass_at_k", r.pass_at_k},
               {"groups", r.groups},
               {"varying_groups", r.varying_groups},
               {"loss", r.loss},
               {"kl", r.kl},
               {"clip_fraction", r.clip_fraction},
               {"masked_answers", r.masked_answers},
               {"drift", r.drift},
               {"largest_drift", r.largest_drift},
               {"capped_fraction", r.capped_fraction},
               {"gradient_norm", r.gradient_norm},
               {"learning_rate", r.learning_rate},
               {"updates", r.updates},
               {"skipped_updates", r.skipped_updates},
               {"rollout_tokens", r.rollout_tokens},
               {"scored_tokens", r.scored_tokens},
               {"trained_tokens", r.trained_tokens},
               {"rollout_seconds", r.rollout_seconds},
               {"judge_seconds", r.judge_seconds},
               {"training_seconds", r.training_seconds},
               {"flops", r.flops},
               {"cost", cost}});
  return line;
}

Json samples_json(const std::vector<AnswerGroup>& groups, int64_t step) {
  constexpr size_t most_problems = 4, most_answers = 4;
  Json problems = Json::array();
  for (size_t g = 0; g < std::min(groups.size(), most_problems); ++g) {
    Json answers = Json::array();
    for (size_t i = 0; i < std::min(groups[g].samples.size(), most_answers); ++i) {
      const GroupSample& sample = groups[g].samples[i];
      answers.push_back({{"text", sample.answer.text},
                         {"tokens", sample.answer.size()},
                         {"truncated", sample.answer.truncated},
                         {"reward", sample.verdict.reward},
                         {"correct", sample.verdict.correct},
                         {"note", sample.verdict.note},
                         {"advantage", sample.advantage}});
    }
    problems.push_back({{"id", groups[g].problem.id},
                        {"prompt", groups[g].problem.prompt},
                        {"answer", groups[g].problem.answer},
                        {"answers", std::move(answers)}});
  }
  return {{"step", step}, {"problems", std::move(problems)}};
}

class Run {
 public:
  // resume: verdicts of the run so far are kept, whether it has a checkpoint or not.
  Run(const GrpoConfig& config, bool resume, const std::optional<fs::path>& checkpoint)
      : folder_(config.output),
        ledger_(resume && fs::exists(folder_ / "ledger.json") ? load_ledger(folder_) : Ledger()),
        group_(make_local_group()),
        trainer_(config, make_task(config.task), make_reward(config.reward, config.sandbox),
                 *group_, resume),
        metrics_(folder_ / "metrics.jsonl", resume_from(checkpoint)),
        samples_(folder_ / "samples.jsonl", checkpoint ? trainer_.position().step : -1) {
    write_file(folder_ / "recipe.toml", write_grpo_config(config));
    Ledger& ledger = ledger_.update();
    ledger.name = config.name;
    ledger.prices = config.cost;
    ledger.peak_flops = measured_flops(measured_peaks(), trainer_.model().compute());
    ledger.planned_memory_bytes = trainer_.planned_bytes();
    ledger.recipe_sha256 = sha256(write_grpo_config(config));
    ledger.code_version = code_version();
    info("model: {} parameters; {} answers a step; {} on {} threads ({})",
         count_parameters(trainer_.model().options().model),
         config.rollout.prompts * config.rollout.group,
         config.compute == ComputeDType::f32 ? "f32" : "bf16", thread_count(),
         isa_name(active_isa()));
    const int64_t training = trainer_.model().memory_plan().total();
    info("memory plan: {:.2f} GiB = training {:.2f} GiB, rollouts and reference {:.2f} GiB",
         gibibytes(trainer_.planned_bytes()), gibibytes(training),
         gibibytes(trainer_.planned_bytes() - training));
    if (checkpoint) info("resumed from {}", checkpoint->string());
  }

  void train() {
    if (trainer_.position().step == 0) evaluate();
    while (!trainer_.done() && !signals_.requested()) {
      const double start = now_seconds();
      const GrpoStepReport report = trainer_.step();
      count(report, now_seconds() - start);
      const int64_t step = trainer_.position().step;
      metrics_.write(step_json(report, trainer_.position(), ledger_.update().cost()));
      if (step % config().samples_every_steps == 0 || step == 1 || trainer_.done())
        samples_.write(samples_json(report.samples, step));
      show(report);
      if (trainer_.done() || passes(config().evaluation.every_steps)) evaluate();
      if (trainer_.done() || signals_.requested() || passes(config().checkpoint.every_steps))
        save();
    }
    if (!trainer_.done())
      return info("stopped at step {}; `minke grpo RECIPE --resume` goes on",
                  trainer_.position().step);
    const Ledger& ledger = ledger_.update();
    // It was killed between the last checkpoint and its ledger.
    if (!ledger.finished) save_ledger();
    info("done: {} steps in {}, {:.4f} {}; the model is in {}", trainer_.position().step,
         format_duration(ledger.wall_seconds), ledger.cost(), ledger.prices.currency,
         model_folder().string());
  }

 private:
  const GrpoConfig& config() const { return trainer_.config(); }
  bool passes(int64_t every) const { return every > 0 && trainer_.position().step % every == 0; }

  // Returns the step that the run goes on after, -1 when it begins.
  int64_t resume_from(const std::optional<fs::path>& checkpoint) {
    if (!checkpoint) return -1;
    trainer_.resume(*checkpoint);
    return trainer_.position().step;
  }

  fs::path model_folder() const {
    return checkpoint_folder(folder_, trainer_.position().step) / "model";
  }

  void count(const GrpoStepReport& report, double seconds) {
    Ledger& ledger = ledger_.update();
    ++ledger.steps;
    ledger.tokens += report.trained_tokens;
    ledger.training_seconds += seconds;
    ledger.model_flops += report.flops;
  }

  void show(const GrpoStepReport& r) const {
    const bool kept = trainer_.done() || trainer_.position().step % 10 == 0;
    const double rate = r.rollout_tokens / std::max(1e-9, r.rollout_seconds);
    show_progress(
        fmt::format("step {} of {}  reward {:.3f}  right {:.1f} %  thinks {:.0f} %  length {:.1f}  "
                    "entropy {:.3f}  rollout {:.1f} s ({:.0f} tok/s)  training {:.1f} s",
                    trainer_.position().step, config().steps, r.answers.reward,
                    100 * r.answers.pass_at_1, 100 * r.answers.thinks, r.answers.length,
                    r.answers.entropy, r.rollout_seconds, rate, r.training_seconds),
        kept);
  }

  // One sample to each held-out problem at the temperature of the recipe, and greedy ones beside.
  void evaluate() {
    if (trainer_.held_out().empty()) return;
    const HeldOutResult result = trainer_.evaluate();
    const int64_t step = trainer_.position().step;
    Ledger& ledger = ledger_.update();
    const double accuracy = result.sampled.pass_at_1;
    const double gained = 100 * (accuracy - first_accuracy(accuracy));
    Json line = {{"step", step}};
    line.update(to_json(result));
    line.update({{"flops", ledger.model_flops}, {"cost", ledger.cost()}});
    if (gained > 0) line["cost_per_point"] = ledger.cost() / gained;
    metrics_.write(line);
    info("held out, step {}: {}", step, describe(result));
  }

  // Of the first evaluation, which a resumed run finds in its metrics.
  double first_accuracy(double now) {
    if (first_accuracy_) return *first_accuracy_;
    first_accuracy_ = now;
    for (const Json& line : read_metrics(folder_ / "metrics.jsonl"))
      if (line.contains("held_out")) {
        first_accuracy_ = line["held_out"]["pass_at_1"].get<double>();
        break;
      }
    return *first_accuracy_;
  }

  void save() {
    trainer_.save();
    save_ledger();
  }

  void save_ledger() {
    Ledger& ledger = ledger_.update();
    ledger.finished = trainer_.done();
    ledger.weights_sha256 = sha256_file(model_folder() / "model.safetensors");
    write_file(folder_ / "ledger.json", write_ledger(ledger));
  }

  StopSignals signals_;
  fs::path folder_;
  LedgerSession ledger_;
  std::unique_ptr<Group> group_;
  GrpoTrainer trainer_;
  MetricsWriter metrics_, samples_;
  std::optional<double> first_accuracy_;
};

}  // namespace

void run_grpo(const GrpoConfig& config, bool resume) {
  const fs::path folder = config.output;
  const bool begun = fs::exists(folder / "metrics.jsonl") || fs::exists(folder / "checkpoints");
  if (begun && !resume)
    fail_usage(
        "{} already holds a run; continue it with --resume, or choose another folder with "
        "--set output=...",
        folder.string());
  const FolderLock lock(folder, "`minke grpo`");
  Run(config, resume, resume ? find_checkpoint(folder) : std::nullopt).train();
}

}  // namespace minke
