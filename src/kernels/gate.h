#pragma once
// The routers of DeepSeekMoE: V2's (softmax; greedy or group-limited) and V3's (sigmoid plus a bias
// that only chooses), with their gradients, and the sequence-wise balance loss (DeepSeek-V3 report,
// section 2.1.2, equations 12 to 20).

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace minke {

struct GateOptions {
  int64_t top_k = 1;
  int64_t n_group = 1;        // experts lie in groups of equal size
  int64_t topk_group = 1;     // groups that a token may use
  bool sigmoid = true;        // scores: sigmoid, otherwise softmax
  bool group_by_top2 = true;  // a group's score: the sum of its two best, otherwise its best
  bool normalize = true;      // weights are divided by their sum
  float scaling = 1.0f;       // and multiplied by this
};

// logits f32 [T, E]; bias f32 [E] or empty (added to the scores for the choice only). Overwrites
// scores f32 [T, E], indices i32 [T, top_k] (best first; on ties the lower index) and weights f32
// [T, top_k].
void gate_forward(const Tensor& scores, const Tensor& indices, const Tensor& weights,
                  const Tensor& logits, const Tensor& bias, const GateOptions& options);

// Overwrites dlogits [T, E]. dweights f32 [T, top_k]; dscores f32 [T, E] is what reaches the scores
// otherwise (the balance loss), empty if nothing does.
void gate_backward(const Tensor& dlogits, const Tensor& dweights, const Tensor& dscores,
                   const Tensor& scores, const Tensor& indices, const GateOptions& options);

// The sequence-wise balance loss, mean over the sequences, of which s is rows [bounds[s],
// bounds[s + 1]):
//   f_i = E/(K·T) · #{t: i chosen}, P_i = mean_t s_i/Σ_j s_j, L = α·Σ f_i·P_i.
// dscores [T, E] is overwritten with gradient_scale · dL/dscores (f is a constant); empty: not
// wanted.
double balance_loss(const Tensor& dscores, const Tensor& scores, const Tensor& indices,
                    std::span<const int64_t> bounds, double alpha, double gradient_scale);

}  // namespace minke
