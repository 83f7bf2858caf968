#pragma once
// A linear layer: y = x·Wᵀ + b, W [out, in], b [out] where the model has one. Gradients: dx = dy·W,
// dW = dyᵀ·x, db = Σ_rows dy.

#include <span>
#include <string>

#include "kernels/matmul.h"
#include "layers/weights.h"

namespace minke {

// What layers are built from. `compute` is the dtype of activations and matrix products.
struct LayerBuilder {
  const ModelConfig& config;
  const Weights& weights;
  Arena& arena;
  DType compute;
  bool training;
  bool recompute;  // backward recomputes norms, up-projections and SwiGLU instead of keeping them
};

// The f32 weight and its copies in the kernels' layout, which refresh() makes anew after the weight
// has changed. Copyable view; the arenas own everything.
struct Linear {
  Tensor weight, gradient;         // f32 [out, in]; no gradient if it does not train
  Tensor bias, bias_gradient;      // f32 [out]; empty without
  PackedMatrix forward, backward;  // of W and, in training, of Wᵀ

  Linear() = default;
  // The parameters `names` ("...q_proj.weight"), joined by rows, and their biases
  // ("...q_proj.bias") if the model has them; for products in `dtype`.
  Linear(const LayerBuilder& builder, std::initializer_list<std::string> names, DType dtype);
  Linear(const LayerBuilder& builder, std::initializer_list<std::string> names)
      : Linear(builder, names, builder.compute) {}

  int64_t out_features() const { return weight.rows(); }
  int64_t in_features() const { return weight.columns(); }
  void refresh() const;
};

// y (+)= x·Wᵀ + b.
void linear_forward(const Tensor& y, const Tensor& x, const Linear& linear,
                    bool accumulate = false);
// dx (+)= dy·W; the gradients grow by dyᵀ·x and Σ dy. dy and x have the dtype of the products. An
// empty dx is not computed.
void linear_backward(const Tensor& dx, const Tensor& dy, const Tensor& x, const Linear& linear,
                     bool accumulate = false);

}  // namespace minke
