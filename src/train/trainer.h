#pragma once
// The training loop of `minke train`.

#include <memory>

#include "comm/group.h"
#include "data/token_dataset.h"
#include "model/transformer.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"

namespace minke {

// Bytes of a training run, by part, from a dry run of every allocation.
struct TrainingMemory {
  int64_t weights = 0;    // f32 weights and gradients
  int64_t optimizer = 0;  // moments, EMA, Muon's scratch
  int64_t model = 0;      // packed weights, activations and their gradients
  int64_t process = 0;    // resident before: the program and its mapped data
  int64_t total() const { return weights + optimizer + model + process; }
};

// What one step did.
struct StepReport {
  int64_t sequences = 0;
  double loss = 0;               // nats per token, main model
  std::vector<double> mtp_loss;  // by depth
  double balance_loss = 0;
  double gradient_norm = 0;  // before the clip
  double learning_rate = 0;
  double max_violation = 0;  // MaxVio: (max load − mean)/mean, mean over the MoE layers
  bool skipped = false;      // the loss or a gradient was not finite
};

// A model in training: weights, optimiser, data position. Owns its memory. Not thread-safe.
class Trainer {
 public:
  // Opens the data, allocates, initialises the weights. group: the ranks that train together.
  Trainer(TrainConfig config, Group& group);

  static TrainingMemory plan_memory(const TrainConfig& config);
  const TrainingMemory& memory_plan() const { return plan_; }

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
  const Weights& weights() const { return *weights_; }
  Transformer& model() { return *model_; }
  const TokenDataset& data() const { return *train_; }

 private:
  StepReport run_micro_batches(int64_t sequences);
  void refresh_model();
  void reduce(StepReport& report);
  [[noreturn]] void stop_non_finite(const StepReport& report) const;
  void update_biases();
  std::vector<std::pair<std::string, Tensor>> state() const;

  TrainConfig config_;
  Group& group_;
  TrainingMemory plan_;
  TrainPosition position_;
  std::unique_ptr<TokenDataset> train_, validation_;
  Arena arena_ = Arena::counting();
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Transformer> model_;
};

}  // namespace minke
