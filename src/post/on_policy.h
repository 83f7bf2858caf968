#pragma once
// On-policy distillation: the student answers, and the teacher's whole distribution judges every
// token of it ("generalized knowledge distillation", arXiv 2306.13649; MiniLLM, 2306.08543).
//   loss = mean over answer tokens of KL(π_student ‖ π_teacher), both softmax(logits / temperature)
//   over the full vocabulary; no gradient goes into the choice of the tokens.

#include "post/distill_student.h"
#include "post/sft_data.h"
#include "train/training.h"

namespace minke {

// What one step did, beside its StepReport; that one's loss is the divergence in nats per token,
// and its flops are all of the step's.
struct OnPolicyReport {
  AnswerStatistics answers;
  int64_t rollout_tokens = 0, trained_tokens = 0;  // prompts included
  double teacher_flops = 0.0;
  double rollout_seconds = 0.0, judge_seconds = 0.0, teacher_seconds = 0.0, training_seconds = 0.0;
};

// The logits of a teacher that reads a student's answers. Not thread-safe.
class TeacherLogits {
 public:
  // Refuses a teacher whose tokenizer or vocabulary is not the student's.
  TeacherLogits(const DistillConfig& config, const ModelConfig& student,
                const Tokenizer& tokenizer);

  // Reads a micro-batch of answers. The views must live until the next call.
  void read(const std::vector<const SftExample*>& answers);
  // f32 [n, V] of those rows of the micro-batch, which predict a token of an answer; rising.
  Tensor rows(std::span<const int32_t> wanted) const;

  int64_t planned_bytes() const { return model_.planned_bytes(); }
  double flops() const { return flops_; }      // of the last micro-batch
  double seconds() const { return seconds_; }  // the same

 private:
  ModelSource source_;
  LoadedModel model_;
  std::vector<int32_t> answer_rows_;  // of the micro-batch
  Tensor logits_;                     // f32 [answer rows, V]
  double flops_ = 0.0, seconds_ = 0.0;
};

// Owns the model in training, its rollouts and the teacher. Not thread-safe; parallel inside.
class OnPolicyTrainer : public Training {
 public:
  // resuming: resume() follows, and verdicts of the run so far are kept.
  OnPolicyTrainer(const DistillConfig& config, Group& group, bool resuming);

  StepReport step() override;
  std::optional<double> validate() override { return std::nullopt; }
  void save() const override;
  void resume(const fs::path& checkpoint) override { position_ = model_->resume(checkpoint); }
  bool done() const override { return position_.step >= config_.on_policy.steps; }
  const TrainPosition& position() const override { return position_; }
  const TrainableModel& trained() const override { return *model_; }

  Student& student() { return *student_; }
  const TeacherLogits& teacher() const { return *teacher_; }
  const OnPolicyReport& last() const { return last_; }

 private:
  std::vector<SftExample> sample();
  double train(const std::vector<SftExample>& answers, int64_t answer_tokens);

  DistillConfig config_;
  ModelSource source_;
  std::unique_ptr<TrainableModel> model_;
  std::unique_ptr<Student> student_;
  std::unique_ptr<TeacherLogits> teacher_;
  TrainPosition position_;  // sequences: problems taken from the task
  OnPolicyReport last_;
};

}  // namespace minke
