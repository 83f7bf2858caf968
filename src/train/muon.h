#pragma once
// Muon (Jordan et al. 2024), in the form that DeepSeek-V4 uses: momentum, then the nearest
// orthogonal matrix by Newton-Schulz steps, scaled so that the update's size is like AdamW's.
//   M ← μM + G;  g = G + μM;  X ← g/‖g‖_F;  X ← aX + b(XXᵀ)X + c(XXᵀ)²X, muon_steps times:
//   with (3.4445, −4.7750, 2.0315), the last fifth of them with (2, −1.5, 0.5); V4 has 8 and 2;
//   W ← W − lr·(0.18·√max(rows, columns)·X + wd·W)

#include <vector>

#include "config/train_config.h"
#include "kernels/matmul.h"

namespace minke {

// Each matrix is one task on one thread. Scratch for every thread lies in the arena.
class Muon {
 public:
  struct Matrix {
    int64_t offset;  // in the flat tensors
    int64_t rows, columns;
  };

  Muon() = default;
  // compute: dtype of the Newton-Schulz products.
  Muon(const OptimizerConfig& config, DType compute, std::vector<Matrix> matrices, Arena& arena);

  // weights and gradients: flat f32; momentum: flat f32 or bf16.
  void step(const Tensor& weights, const Tensor& momentum, const Tensor& gradients, double factor,
            float gradient_scale) const;

 private:
  // For one thread; sized for the largest matrix, r ≤ c after transposition.
  struct Scratch {
    Tensor x, x_next;     // f32 [r·c]
    Tensor update;        // f32 [r·c]: of a matrix with more rows than columns
    Tensor gram, square;  // f32 [r·r]
    Tensor packed;        // the arithmetic's dtype
  };
  void update(const Matrix& matrix, const Scratch& scratch, const Tensor& weights,
              const Tensor& momentum, const Tensor& gradients, double factor,
              float gradient_scale) const;
  void orthogonalize(const Scratch& scratch, int64_t rows, int64_t columns) const;

  double learning_rate_ = 0, momentum_ = 0, weight_decay_ = 0;
  int64_t steps_ = 0;
  DType compute_ = DType::f32;
  std::vector<Matrix> matrices_;
  std::vector<Scratch> scratch_;  // by thread
};

}  // namespace minke
