#pragma once
// The output head with a fused cross-entropy: logits exist for one chunk of tokens at a time, never
// tokens × vocabulary in full.

#include "layers/linear.h"

namespace minke {

class LmHead {
 public:
  struct Scratch {
    Tensor logits;   // f32 [chunk, vocab]
    Tensor dlogits;  // [chunk, vocab], training only
    Tensor losses;   // f32 [T]
  };

  explicit LmHead(const LayerBuilder& builder);

  // Tokens of one chunk; fixed by the vocabulary, so that sums over chunks have one order.
  int64_t chunk_tokens() const;
  Scratch allocate_scratch(Arena& arena, int64_t tokens) const;
  void refresh() const { linear_.refresh(); }

  // Σ −log p(target) over the rows of normed [T, hidden]; targets i32 [T], negative ones are
  // ignored. Per-token losses stay in scratch.losses. If dnormed [T, hidden] is given, it is
  // overwritten with the gradient of gradient_scale·sum, and the head's gradient grows.
  double loss(const Tensor& normed, const Tensor& targets, const Scratch& scratch,
              const Tensor& dnormed, float gradient_scale) const;
  // logits f32 [T, vocab].
  void logits(const Tensor& out, const Tensor& normed) const {
    linear_forward(out, normed, linear_);
  }

 private:
  DType compute_;
  bool training_;
  Linear linear_;
};

}  // namespace minke
