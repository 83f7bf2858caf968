#pragma once
// A linear layer without bias: y = x·Wᵀ, W [out, in]. Gradients: dx = dy·W, dW = dyᵀ·x.

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
  PackedMatrix forward, backward;  // of W and, in training, of Wᵀ

  Linear() = default;
  // The parameters `names`, joined by rows, for products in `dtype`.
  Linear(const LayerBuilder& builder, std::initializer_list<std::string> names, DType dtype);
  Linear(const LayerBuilder& builder, std::initializer_list<std::string> names)
      : Linear(builder, names, builder.compute) {}

  int64_t out_features() const { return weight.rows(); }
  int64_t in_features() const { return weight.columns(); }
  void refresh() const;
};

// y (+)= x·Wᵀ.
void linear_forward(const Tensor& y, const Tensor& x, const Linear& linear,
                    bool accumulate = false);
// dx (+)= dy·W; the weight's gradient grows by dyᵀ·x. dy and x have the dtype of the products. An
// empty dx is not computed.
void linear_backward(const Tensor& dx, const Tensor& dy, const Tensor& x, const Linear& linear,
                     bool accumulate = false);

}  // namespace minke
