#pragma once
// The output head with a fused loss: logits exist for one chunk of tokens at a time, never
// tokens × vocabulary in full.

#include "layers/linear.h"
#include "layers/objective.h"

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

  // The objective's sum over the rows of normed [T, hidden], whose values are used up. targets i32
  // [T]; weights [T]: rows with 0 are left out. If dnormed [T, hidden] is given, it is overwritten
  // with the objective's gradient, and the head's gradient grows.
  double loss(const Tensor& normed, const Tensor& targets, std::span<const float> weights,
              const Scratch& scratch, const Tensor& dnormed, Objective& objective) const;
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
