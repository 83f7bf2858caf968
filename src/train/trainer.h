#pragma once
// Pre-training: the steps of `minke train`.

#include <memory>

#include "data/token_dataset.h"
#include "train/trainable_model.h"

namespace minke {

// What one step did.
struct StepReport {
  int64_t sequences = 0;
  double loss = 0;               // nats per token, main model
  std::vector<double> mtp_loss;  // by depth
  double balance_loss = 0;
  double gradient_norm = 0;  // before the clip
  double learning_rate = 0;
  double max_violation = 0;  // MaxVio: (max load − mean)/mean, mean over the MoE layers
  std::vector<std::vector<int64_t>> expert_load;  // tokens by MoE layer and expert
  bool skipped = false;                           // the loss or a gradient was not finite
};

// A model in pre-training and its position in the data. Not thread-safe.
class Trainer {
 public:
  // Opens the data, allocates, initialises the weights. group: the ranks that train together.
  Trainer(TrainConfig config, Group& group);

  static TrainingMemory plan_memory(const TrainConfig& config);
  const TrainingMemory& memory_plan() const { return model_->memory_plan(); }

  // One optimiser step. A non-finite loss is an Error, or a skipped step, as the recipe says.
  StepReport step();
  // Bits per byte of the validation split.
  double validate();

  void save() const;
  // Continues from a checkpoint, bit for bit.
  void resume(const fs::path& checkpoint);

  bool done() const { return position_.tokens >= config_.total_tokens; }
  const TrainPosition& position() const { return position_; }
  const TrainConfig& config() const { return config_; }
  const Weights& weights() const { return model_->weights(); }
  Transformer& model() { return model_->model(); }
  const TokenDataset& data() const { return *train_; }

 private:
  StepReport run_micro_batches(int64_t sequences);
  [[noreturn]] void stop_non_finite(const StepReport& report) const;

  TrainConfig config_;
  TrainPosition position_;
  std::unique_ptr<TokenDataset> train_, validation_;
  std::unique_ptr<TrainableModel> model_;
};

}  // namespace minke
