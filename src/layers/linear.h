#pragma once
// A linear layer: y = x·Wᵀ + b, W [out, in], b [out] where the model has one. Gradients: dx = dy·W,
// dW = dyᵀ·x, db = Σ_rows dy; with adapters theirs instead of dW and db.

#include <span>
#include <string>
#include <vector>

#include "kernels/matmul.h"
#include "layers/adapters.h"
#include "layers/weights.h"

namespace minke {

// What layers are built from. `compute` is the dtype of activations and, where the weights are
// plain numbers, of matrix products. Weights that stay in a source make layers for inference.
struct LayerBuilder {
  const ModelConfig& config;
  const Weights& weights;
  Arena& arena;
  DType compute;
  bool training;
  bool recompute;  // backward recomputes norms, up-projections and SwiGLU instead of keeping them
  bool map_weights = false;  // products read the source's matrices instead of packed copies
  const Adapters* adapters = nullptr;  // training: of weights without gradients
};

// A weight in the kernels' layout. In training: the f32 weight, joined of several where they share
// an input, and its copies, which refresh() makes anew after the weight has changed. In inference:
// the stored matrices and one packed copy; matrices of different packings that are joined have a
// copy each, and mapped ones none. Copyable view; the arenas own everything.
struct Linear {
  Tensor weight, gradient;            // f32 [out, in]; training only, no gradient if frozen
  Tensor bias, bias_gradient;         // f32 [out]; empty without
  std::vector<Adapter> adapters;      // of those of the joined matrices that have one
  std::vector<StoredMatrix> stored;   // joined by rows; inference only
  std::vector<PackedMatrix> forward;  // of W; one, or one for each of `stored`
  PackedMatrix backward;              // of Wᵀ; training only

  Linear() = default;
  // The parameters `names` ("...q_proj.weight"), joined by rows, and their biases
  // ("...q_proj.bias") if the model has them; for products in `dtype`.
  Linear(const LayerBuilder& builder, std::initializer_list<std::string> names, DType dtype);
  Linear(const LayerBuilder& builder, std::initializer_list<std::string> names)
      : Linear(builder, names, builder.compute) {}

  int64_t out_features() const;
  int64_t in_features() const { return forward.at(0).inner; }
  void refresh() const;

 private:
  void find_adapters(const LayerBuilder& builder, std::initializer_list<std::string> names);
  void allocate_stored(const LayerBuilder& builder, DType dtype);
};

// y (+)= x·Wᵀ + b.
void linear_forward(const Tensor& y, const Tensor& x, const Linear& linear,
                    bool accumulate = false);
// gate_up = x·Wᵀ + b, and h = silu(gate)⊙up of its columns.
void linear_swiglu_forward(const Tensor& gate_up, const Tensor& h, const Tensor& x,
                           const Linear& linear);
// dx (+)= dy·W; the gradients grow by dyᵀ·x and Σ dy, or by the adapters'. dy and x have the dtype
// of the products. An empty dx is not computed.
void linear_backward(const Tensor& dx, const Tensor& dy, const Tensor& x, const Linear& linear,
                     bool accumulate = false);

}  // namespace minke
