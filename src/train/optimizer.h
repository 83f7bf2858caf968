#pragma once
// AdamW, and Muon for matrices, over a model's flat weights.

#include <vector>

#include "config/train_config.h"
#include "layers/weights.h"
#include "train/muon.h"

namespace minke {

// Owns nothing: weights and moments lie in the arena. Built on a counting arena it is the memory
// plan. Which parameters get what: buffers nothing; norms AdamW without weight decay; embedding,
// head and router AdamW; matrices AdamW, or Muon where the configuration says so.
class Optimizer {
 public:
  Optimizer(const OptimizerConfig& config, DType compute, const Weights& weights, Arena& arena);

  // One step on all weights. step counts from 1; factor: the schedule's, on every learning rate;
  // gradient_scale: the clip's, on every gradient.
  void step(int64_t step, double factor, double gradient_scale);

  // The state that a resumed run needs, by name: flat moments and, if it is kept, the weights' EMA.
  std::vector<std::pair<std::string, Tensor>> state() const;
  const Tensor& ema() const { return ema_; }  // flat f32; empty if it is not kept

 private:
  // Neighbouring parameters that are treated alike.
  struct Segment {
    int64_t begin, end;
    double weight_decay;
  };
  OptimizerConfig config_;
  Tensor weights_, gradients_, m_, v_, ema_;
  std::vector<Segment> adamw_;
  Muon muon_;
};

}  // namespace minke
