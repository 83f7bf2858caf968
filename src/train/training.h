#pragma once
// What a run repeats: steps of some training, with validations and checkpoints between them.

#include <vector>

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
  double flops = 0;                               // that the step needed, recomputation not counted
  bool skipped = false;                           // the loss or a gradient was not finite
};

// Not thread-safe.
class Training {
 public:
  virtual ~Training() = default;
  // One optimiser step. A non-finite loss is an Error, or a skipped step, as the recipe says.
  virtual StepReport step() = 0;
  virtual bool done() const = 0;
  // Bits per byte of what is held out; nothing where nothing is.
  virtual std::optional<double> validate() = 0;
  virtual void save() const = 0;
  // Continues from a checkpoint, bit for bit.
  virtual void resume(const fs::path& checkpoint) = 0;
  virtual const TrainPosition& position() const = 0;
  virtual const TrainableModel& trained() const = 0;
};

}  // namespace minke
