#pragma once
// The student's own answers: in tests on held-out problems, and for on-policy distillation.

#include <optional>

#include "config/distill_config.h"
#include "post/answer_statistics.h"
#include "train/trainable_model.h"

namespace minke {

// Not thread-safe. The model must outlive it.
class Student {
 public:
  // model: in training, as loaded from config.model, whose files are read for the tokenizer.
  // resuming: verdicts of the run so far are kept.
  Student(const DistillConfig& config, const TrainableModel& model, bool resuming);

  // The held-out problems; the same random numbers each time.
  HeldOutResult evaluate();
  // Answers to the training problems from `next_problem` on, which is advanced.
  SampledGroups sample(int64_t& next_problem);
  const Tokenizer& tokenizer() const { return tokenizer_; }
  // Of the rollouts, beside the training's.
  int64_t planned_bytes() const { return rollout_.planned_bytes(); }

 private:
  Prompt prompt(const Problem& problem) const;

  DistillConfig config_;
  ModelSource source_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;
  std::unique_ptr<Task> task_;
  std::unique_ptr<Reward> reward_;
  VerdictJournal judge_;
  FlatSource weights_;
  Rollout rollout_;
  GroupSampler sampler_;
  std::vector<Problem> held_out_;
};

}  // namespace minke
