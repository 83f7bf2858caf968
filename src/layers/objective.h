#pragma once
// What training minimises: a loss for each target token and its gradient, given the logits of one
// chunk of tokens at a time, so that [tokens, vocabulary] never exists in full.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace minke {

// n tokens of a micro-batch that have a loss; those with weight 0 are left out.
struct LogitChunk {
  std::span<const int32_t> rows;  // [n] of the micro-batch, rising
  Tensor targets;                 // i32 [n]
  Tensor weights;                 // f32 [n]
  Tensor logits;                  // f32 [n, V]; scratch once the losses are known
  Tensor losses;                  // f32 [n]: to be written
  Tensor dlogits;                 // [n, V], f32 or bf16: to be written; empty: not wanted
};

// Chunks of a micro-batch come in the order of their rows. Used by one thread, parallel inside.
class Objective {
 public:
  virtual ~Objective() = default;
  virtual void compute(const LogitChunk& chunk) = 0;
};

// Σ w·(−log p(target)); the gradient is of gradient_scale times that.
class CrossEntropy : public Objective {
 public:
  explicit CrossEntropy(double gradient_scale)
      : gradient_scale_(static_cast<float>(gradient_scale)) {}
  void compute(const LogitChunk& chunk) override;

 private:
  float gradient_scale_;
};

// What a token adds to the loss, and its derivative by log π(target).
struct TokenLoss {
  float loss = 0, slope = 0;
};

// Any function of the targets' log-probabilities under softmax(logits / temperature): policy
// gradients, or nothing but the values. Weights say only which tokens count.
class TargetLogProbability : public Objective {
 public:
  // function(row, log π): of the micro-batch's row; one thread calls it, rows rise.
  using Function = std::function<TokenLoss(int64_t row, float log_probability)>;
  // rows: of the micro-batch. Without a function the loss is −log π and there is no gradient.
  TargetLogProbability(int64_t rows, double temperature, Function function = {});
  void compute(const LogitChunk& chunk) override;

  // By row of the micro-batch, 0 where the weight is 0.
  const std::vector<float>& log_probabilities() const { return log_probabilities_; }

 private:
  float temperature_;
  Function function_;
  std::vector<float> log_probabilities_;
};

// Σ w·KL(student ‖ teacher) over the whole vocabulary, for on-policy distillation, both
// softmax(logits / temperature); the gradient is of gradient_scale times that.
class ReverseKl : public Objective {
 public:
  // Logits f32 [n, V] of the teacher for those rows of the micro-batch, valid until the next call;
  // scratch, as the temperature divides them.
  using Teacher = std::function<Tensor(std::span<const int32_t> rows)>;
  ReverseKl(double gradient_scale, double temperature, Teacher teacher);
  void compute(const LogitChunk& chunk) override;

 private:
  float gradient_scale_, inverse_temperature_;
  Teacher teacher_;
};

}  // namespace minke
