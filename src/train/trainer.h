#pragma once
// Pre-training: the steps of `minke train`.

#include <memory>

#include "data/token_dataset.h"
#include "train/training.h"

namespace minke {

// A model in pre-training and its position in the data. Not thread-safe.
class Trainer : public Training {
 public:
  // Opens the data, allocates, initialises the weights. group: the ranks that train together.
  Trainer(TrainConfig config, Group& group);

  static TrainingMemory plan_memory(const TrainConfig& config);
  const TrainingMemory& memory_plan() const { return model_->memory_plan(); }

  StepReport step() override;
  std::optional<double> validate() override;
  void save() const override;
  void resume(const fs::path& checkpoint) override;
  bool done() const override { return position_.tokens >= config_.total_tokens; }
  const TrainPosition& position() const override { return position_; }
  const TrainableModel& trained() const override { return *model_; }
  const TrainConfig& config() const { return config_; }
  const Weights& weights() const { return model_->weights(); }
  Transformer& model() { return model_->model(); }
  const TokenDataset& data() const { return *train_; }

 private:
  TrainingBatch segments(const TokenDataset& data, std::span<const int32_t> windows) const;
  StepReport run_micro_batches(int64_t sequences);
  [[noreturn]] void stop_non_finite(const StepReport& report) const;

  TrainConfig config_;
  TrainPosition position_;
  std::unique_ptr<TokenDataset> train_, validation_;  // no validation where none is held out
  std::unique_ptr<TrainableModel> model_;
};

}  // namespace minke
