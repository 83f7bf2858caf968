#pragma once
// A model that any training changes: pre-training, fine-tuning, reinforcement learning and
// distillation differ in their batches and objectives, not in this.
//
// One step is begin_step(), forward_backward() for each micro-batch, apply().

#include <memory>
#include <string>

#include "comm/group.h"
#include "layers/adapters.h"
#include "model/model_rows.h"
#include "model/model_source.h"
#include "model/transformer.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"

namespace minke {

// Bytes of a training run, by part, from a dry run of every allocation.
struct TrainingMemory {
  int64_t weights = 0;    // f32 weights and gradients; with LoRA merged weights, and the adapters
  int64_t optimizer = 0;  // moments, EMA, Muon's scratch
  int64_t model = 0;      // packed weights, activations and their gradients
  int64_t process = 0;    // resident before: the program and its mapped data
  int64_t total() const { return weights + optimizer + model + process; }
};

struct TrainableOptions {
  ModelConfig model;
  ComputeDType compute = ComputeDType::bf16;
  bool recompute = false;
  OptimizerConfig optimizer;
  int64_t tokens = 1;         // rows of the largest micro-batch
  int64_t max_positions = 1;  // of the longest segment
  uint64_t seed = 1;          // of the initial weights, unless they are read
  LoraConfig lora{};          // if it is on, adapters train and weights() are the merged ones
};

// What apply() is asked and what it did.
struct UpdateOptions {
  double learning_rate_factor = 1.0;  // on every learning rate
  double bias_update_speed = 0.0;     // of the experts' balancing; 0: off
  bool finite = true;                 // false: the loss was not, so nothing is changed
};
struct UpdateReport {
  double gradient_norm = 0;  // before the clip
  double max_violation = 0;  // MaxVio: (max load − mean)/mean, mean over the MoE layers
  std::vector<std::vector<int64_t>> expert_load;  // tokens by MoE layer and expert
  bool skipped = false;  // the loss or a gradient was not finite: weights are as before
};

// Owns weights, gradients, optimiser and activations. Not thread-safe; parallel inside.
class TrainableModel {
 public:
  // Refuses what this machine cannot hold. group: the ranks that train together. The weights are
  // random; load() replaces them.
  TrainableModel(const TrainableOptions& options, Group& group);

  static TrainingMemory plan_memory(const TrainableOptions& options);
  const TrainingMemory& memory_plan() const { return plan_; }

  // The weights of a model on disk, in whatever format it stores them, as f32. Its configuration
  // must be this one's. The EMA, if one is kept, begins anew. With LoRA they are the base, which is
  // read again after each update: the source must outlive this. lora.adapter, if given, is read
  // too.
  void load(const ModelSource& source);

  void begin_step();
  // Adds a micro-batch's gradients; see Transformer.
  Transformer::StepLosses forward_backward(const TrainingBatch& batch, Objective& objective,
                                           const Transformer::StepOptions& step) {
    return model_->forward_backward(batch, objective, step);
  }
  // Sums over the ranks, clips, steps the optimiser and the experts' biases.
  UpdateReport apply(const UpdateOptions& options);

  // The objective's sum of a micro-batch, without gradients.
  double evaluate(const TrainingBatch& batch, Objective& objective) {
    return model_->evaluate(batch, objective);
  }
  // log π of the targets by row, under softmax(logits / temperature); 0 where the weight is 0.
  std::vector<float> log_probabilities(const TrainingBatch& batch, double temperature = 1.0);

  const TrainableOptions& options() const { return options_; }
  const Weights& weights() const { return *weights_; }
  const Adapters* adapters() const { return adapters_.get(); }  // nullptr without LoRA
  Transformer& model() { return *model_; }
  DType compute() const;
  int64_t updates() const { return updates_; }  // optimiser steps so far
  // Operations of forward and backward of a token in a sequence of this length; recomputation is
  // not counted.
  double flops_per_token(int64_t sequence_length, bool with_mtp) const;

  // What a checkpoint holds: the model (and its EMA) with those files beside it, and the state that
  // resuming needs.
  CheckpointContent checkpoint_content(std::vector<fs::path> files) const;
  // Continues from a checkpoint, bit for bit.
  TrainPosition resume(const fs::path& checkpoint);

 private:
  // What the optimiser changes: the adapters, or all weights.
  const Weights& trained() const { return adapters_ ? adapters_->weights() : *weights_; }
  double reduce();
  void merge();
  void update_biases(double speed);
  void refresh();
  std::vector<std::pair<std::string, Tensor>> state() const;

  TrainableOptions options_;
  Group& group_;
  TrainingMemory plan_;
  int64_t updates_ = 0;
  Arena arena_ = Arena::counting();
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<Adapters> adapters_;
  std::vector<RowSource> base_;  // of each matrix that has an adapter, in their order
  std::string base_name_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Transformer> model_;
};

}  // namespace minke
