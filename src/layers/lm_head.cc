#include "layers/lm_head.h"

#include <algorithm>

#include "base/profile.h"
#include "kernels/loss.h"

namespace minke {

LmHead::LmHead(const LayerBuilder& builder)
    : compute_(builder.compute),
      training_(builder.training),
      linear_(builder, {"lm_head.weight"}) {}

// About 8 MB of f32 logits, and not fewer rows than keep a matrix product efficient.
int64_t LmHead::chunk_tokens() const {
  constexpr int64_t elements = 1 << 21, fewest = 64;
  return std::max(fewest, elements / linear_.out_features());
}

LmHead::Scratch LmHead::allocate_scratch(Arena& arena, int64_t tokens) const {
  const int64_t rows = std::min(tokens, chunk_tokens()), vocab = linear_.out_features();
  Scratch scratch;
  scratch.logits = arena.allocate(DType::f32, {rows, vocab});
  if (training_) scratch.dlogits = arena.allocate(compute_, {rows, vocab});
  scratch.losses = arena.allocate(DType::f32, {tokens});
  return scratch;
}

double LmHead::loss(const Tensor& normed, const Tensor& targets, const Scratch& scratch,
                    const Tensor& dnormed, float gradient_scale) const {
  const ProfilePart part("head");
  const int64_t tokens = normed.rows();
  for (int64_t begin = 0; begin < tokens; begin += chunk_tokens()) {
    const int64_t end = std::min(tokens, begin + chunk_tokens());
    const Tensor x = normed.slice_rows(begin, end);
    const Tensor logits = scratch.logits.slice_rows(0, end - begin);
    const Tensor dlogits = dnormed ? scratch.dlogits.slice_rows(0, end - begin) : Tensor();
    linear_forward(logits, x, linear_);
    cross_entropy(scratch.losses.slice_rows(begin, end), dlogits, logits,
                  targets.slice_rows(begin, end), gradient_scale);
    if (dnormed) linear_backward(dnormed.slice_rows(begin, end), dlogits, x, linear_);
  }
  double sum = 0;
  for (int64_t t = 0; t < tokens; ++t) sum += scratch.losses.as<float>()[t];
  return sum;
}

}  // namespace minke
