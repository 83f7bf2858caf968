#pragma once
// Supervised fine-tuning: `minke sft`, and the training half of distillation.

#include "config/sft_config.h"
#include "post/sft_data.h"
#include "train/run.h"

namespace minke {

// A model in fine-tuning and its position in the data. Not thread-safe.
class SftTrainer : public Training {
 public:
  // Reads model and data. group: the ranks that train together; each takes the whole batch's share.
  SftTrainer(SftConfig config, Group& group);

  StepReport step() override;
  std::optional<double> validate() override;
  void save() const override;
  void resume(const fs::path& checkpoint) override;
  bool done() const override { return position_.tokens >= total_tokens_; }
  const TrainPosition& position() const override { return position_; }
  const TrainableModel& trained() const override { return *model_; }

  int64_t total_tokens() const { return total_tokens_; }
  const SftData& data() const { return *data_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  const SftExample& example(int64_t index);
  std::vector<const SftExample*> next_batch();
  double flops(const std::vector<const SftExample*>& batch) const;

  SftConfig config_;
  ModelSource source_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;
  std::unique_ptr<SftData> data_, validation_;
  std::unique_ptr<TrainableModel> model_;
  TrainPosition position_;
  int64_t total_tokens_ = 0;
  std::vector<const SftExample*> epoch_;  // the order of the epoch that the position is in
  int64_t epoch_begin_ = 0;               // examples before it
  uint64_t epoch_number_ = 0;
};

// Splits a batch into micro-batches of at most so many rows, in order.
std::vector<TrainingBatch> micro_batches(const std::vector<const SftExample*>& batch,
                                         int64_t max_rows);

// Trains as the recipe says; see run_training() for what it leaves.
void run_sft(const SftConfig& config, bool resume);

}  // namespace minke
