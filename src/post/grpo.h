#pragma once
// GRPO: a model that is trained by the rewards of its own answers. docs/grpo.md tells the settings
// and the figures.

#include <memory>
#include <nlohmann/json.hpp>

#include "post/answer_statistics.h"
#include "post/group_sampler.h"
#include "post/grpo_loss.h"
#include "train/trainable_model.h"

namespace minke {

// What one step did.
struct GrpoStepReport {
  AnswerStatistics answers;
  double pass_at_k = 0.0;  // problems with at least one right answer in their group
  int64_t groups = 0, varying_groups = 0;
  double loss = 0.0;
  double kl = 0.0;             // k3 against the reference, mean over tokens; 0 without one
  double clip_fraction = 0.0;  // of the tokens
  int64_t masked_answers = 0;  // by off-policy masking
  // Mean |log π_trainer − log π_rollout| over the tokens that are trained on; exact mode: 0.
  double drift = 0.0;
  double largest_drift = 0.0;
  double capped_fraction = 0.0;  // of the tokens: their correction for the drift hit the cap
  double gradient_norm = 0.0, learning_rate = 0.0;
  int64_t updates = 0, skipped_updates = 0;
  // Prompts included; scored: read again, by the reference, for fast rollouts, or for the masking.
  int64_t rollout_tokens = 0, scored_tokens = 0, trained_tokens = 0;
  double rollout_seconds = 0.0, judge_seconds = 0.0, training_seconds = 0.0;  // and reference
  double flops = 0.0;  // of the model's arithmetic, recomputation not counted
  std::vector<AnswerGroup> samples;
};

// Owns the model in training, its rollouts, the reference, the task and the reward. Not
// thread-safe; parallel inside.
class GrpoTrainer {
 public:
  // Loads the model. resuming: resume() follows, and verdicts of the run so far are kept.
  GrpoTrainer(GrpoConfig config, std::unique_ptr<Task> task, std::unique_ptr<Reward> reward,
              Group& group, bool resuming);

  // Rollouts, verdicts and the updates from them. In exact mode a log-probability that differs from
  // the trainer's in any bit is an Error.
  GrpoStepReport step();
  // The held-out problems; the same random numbers each time.
  HeldOutResult evaluate();

  void save() const;
  // Continues from a checkpoint, bit for bit.
  void resume(const fs::path& checkpoint);

  bool done() const { return position_.step >= config_.steps; }
  const TrainPosition& position() const { return position_; }
  const GrpoConfig& config() const { return config_; }
  const TrainableModel& model() const { return *model_; }
  // Of the training, the rollouts and the reference.
  int64_t planned_bytes() const;
  const std::vector<Problem>& held_out() const { return held_out_; }

 private:
  // An answer on its way through the updates.
  struct Entry {
    std::vector<int32_t> tokens;  // prompt and answer
    std::vector<float> weights;   // of the targets tokens[1..]: 1 for the answer's
    int64_t prompt = 0;
    GrpoSequence sequence;
    int64_t rows() const { return static_cast<int64_t>(tokens.size()) - 1; }
  };

  std::unique_ptr<Rollout> make_rollout(const WeightSource& weights, int64_t sequences,
                                        std::optional<QuantizationType> type) const;
  void add_reference();
  std::vector<Entry> make_entries(const SampledGroups& sampled, GrpoStepReport& report);
  Entry make_entry(const AnswerGroup& group, const GroupSample& sample) const;
  std::vector<std::vector<float>> score(Rollout& model, const std::vector<GivenAnswer>& given,
                                        GrpoStepReport& report) const;
  void refresh_rollout();
  Rollout& trained_rollout();
  void refresh_reference();
  bool has_one_update() const;
  void update(std::vector<Entry>& entries, GrpoStepReport& report);
  void run_minibatch(std::span<Entry*> minibatch, GrpoStepReport& report, GrpoSums& sums);
  void mask_off_policy(std::span<Entry*> minibatch, GrpoStepReport& report);
  void run_micro_batch(std::span<Entry*> entries, const GrpoLoss& loss, GrpoSums& sums);
  bool learns_from(const Entry& entry) const;

  GrpoConfig config_;
  ModelSource source_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;  // with rollout.chat
  std::unique_ptr<Task> task_;
  std::unique_ptr<Reward> reward_;
  std::unique_ptr<VerdictJournal> judge_;
  std::vector<Problem> held_out_;
  std::unique_ptr<TrainableModel> model_;
  std::unique_ptr<FlatSource> weights_;
  std::unique_ptr<Rollout> rollout_;
  // With quantised rollouts: over the trainer's own weights. It scores their answers and answers
  // the held-out problems.
  std::unique_ptr<Rollout> trained_rollout_;
  std::unique_ptr<GroupSampler> sampler_;

  // With a KL term.
  Arena reference_arena_ = Arena::counting();
  std::unique_ptr<Weights> reference_weights_;
  std::unique_ptr<FlatSource> reference_source_;
  std::unique_ptr<Rollout> reference_;

  TrainPosition position_;      // sequences: problems taken from the task
  bool stale_ = false;          // the rollout's weights are older than the model's
  bool trained_stale_ = false;  // those of trained_rollout_ are
  bool on_policy_ = true;       // no update since the rollouts
};

}  // namespace minke
