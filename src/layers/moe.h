#pragma once
// DeepSeekMoE (DeepSeekMoE report; V3 report, section 2.1.2): shared experts that every token uses
// and routed experts that the gate chooses, y = shared(x) + Σ_k w_k·expert_k(x), with the weight at
// the experts' hidden values: w·expert(x) = W_down·(w·silu(W_gate·x)⊙W_up·x). No token is dropped.

#include <string>
#include <vector>

#include "kernels/experts.h"
#include "kernels/gate.h"
#include "layers/ffn.h"

namespace minke {

// How the gate's options follow from a configuration.
GateOptions gate_options(const ModelConfig& config);

class Moe {
 public:
  // R = T·top_k rows, sorted by expert. Only what is I wide is kept of each row: products take
  // their input from the tokens' rows and add to the tokens' rows.
  struct Activations {
    Tensor scores;   // f32 [T, E]
    Tensor indices;  // i32 [T, K]
    Tensor weights;  // f32 [T, K]
    ExpertRoute route;
    Tensor gate_up;  // [R, 2·I]
    Tensor h;        // [R, I], weighted; with recomputation the caller gives it for all layers
    Ffn::Activations shared;
  };
  // What one layer's forward or backward needs for its own time.
  struct Scratch {
    Tensor normed_f32, logits;          // f32 [T, hidden], [T, E]
    Tensor dh, dgate_up;                // [R, I], [R, 2·I]
    Tensor dweight_of_row;              // f32 [R]
    Tensor dweights, dscores, dlogits;  // f32 [T, K], [T, E], [T, E]
    Ffn::Scratch shared;
  };

  Moe() = default;
  Moe(const LayerBuilder& builder, const std::string& prefix);

  Activations allocate_activations(Arena& arena, int64_t tokens) const;
  // h and the shared experts' h, for all layers.
  Activations allocate_recomputed(Arena& arena, int64_t tokens) const;
  Scratch allocate_scratch(Arena& arena, int64_t tokens) const;
  // What forward() needs of it.
  Scratch allocate_forward_scratch(Arena& arena, int64_t tokens) const;
  void refresh() const;

  // y f32 [T, hidden] += moe(normed).
  void forward(const Tensor& y, const Tensor& normed, Activations& saved,
               const Scratch& scratch) const;
  // dnormed f32 [T, hidden] is overwritten. Adds the gradient of the balance loss,
  // gradient_scale·α·Σ f·P over the sequences (see balance_loss), and returns that loss (unscaled).
  double backward(const Tensor& dnormed, const Tensor& dy, const Tensor& normed,
                  const Activations& saved, const Scratch& scratch, std::span<const int64_t> bounds,
                  double balance_alpha, double gradient_scale) const;

  // The bias of the auxiliary-loss-free balancing, f32 [E]; empty for gates without one.
  const Tensor& bias() const { return bias_; }
  int64_t experts() const { return experts_; }

 private:
  DType compute_ = DType::f32;
  bool recompute_ = false;
  int64_t hidden_ = 0, width_ = 0, experts_ = 0;
  GateOptions options_;
  Linear gate_;  // f32 in every compute mode
  Tensor bias_;
  bool has_shared_ = false;
  Ffn shared_;
  std::vector<Linear> gate_up_, down_;  // per expert
  // What grouped products take; forward ones by part of the matrix (see Linear::forward).
  std::vector<std::vector<PackedMatrix>> gate_up_forward_, down_forward_;
  std::vector<PackedMatrix> gate_up_backward_, down_backward_;
  std::vector<Tensor> gate_up_gradients_, down_gradients_;  // empty tensors if frozen
  std::vector<Adapter> gate_up_adapters_, down_adapters_;   // of all experts together
};

}  // namespace minke
