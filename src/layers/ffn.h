#pragma once
// SwiGLU feed-forward: y = W_down·(silu(W_gate·x)⊙W_up·x). The dense layers' FFN and, S times as
// wide, the shared experts. W_gate and W_up are one matrix [2·I, hidden].

#include <string>

#include "layers/linear.h"

namespace minke {

class Ffn {
 public:
  struct Activations {
    Tensor gate_up;  // [T, 2·I]
    Tensor h;        // [T, I]; with recomputation the caller gives one for all layers
  };
  struct Scratch {
    Tensor dh, dgate_up;
  };

  Ffn() = default;
  // prefix: "model.layers.0.mlp.", with gate_proj, up_proj and down_proj below it.
  Ffn(const LayerBuilder& builder, const std::string& prefix);

  int64_t width() const { return down_.in_features(); }
  Activations allocate_activations(Arena& arena, int64_t tokens) const;
  Scratch allocate_scratch(Arena& arena, int64_t tokens) const;
  void refresh() const;

  // y f32 [T, hidden] += ffn(normed).
  void forward(const Tensor& y, const Tensor& normed, const Activations& saved) const;
  // dnormed f32 [T, hidden] is overwritten, or added to if accumulate.
  void backward(const Tensor& dnormed, const Tensor& dy, const Tensor& normed,
                const Activations& saved, const Scratch& scratch, bool accumulate) const;

 private:
  DType compute_ = DType::f32;
  bool recompute_ = false;
  Linear gate_up_, down_;
};

}  // namespace minke
