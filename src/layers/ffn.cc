#include "layers/ffn.h"

#include "base/profile.h"
#include "kernels/elementwise.h"

namespace minke {

Ffn::Ffn(const LayerBuilder& builder, const std::string& prefix)
    : compute_(builder.compute),
      recompute_(builder.recompute),
      gate_up_(builder, {prefix + "gate_proj.weight", prefix + "up_proj.weight"}),
      down_(builder, {prefix + "down_proj.weight"}) {}

Ffn::Activations Ffn::allocate_activations(Arena& arena, int64_t tokens) const {
  Activations saved;
  saved.gate_up = arena.allocate(compute_, {tokens, 2 * width()});
  if (!recompute_) saved.h = arena.allocate(compute_, {tokens, width()});
  return saved;
}

Ffn::Scratch Ffn::allocate_scratch(Arena& arena, int64_t tokens) const {
  return {arena.allocate(compute_, {tokens, width()}),
          arena.allocate(compute_, {tokens, 2 * width()})};
}

void Ffn::refresh() const {
  gate_up_.refresh();
  down_.refresh();
}

void Ffn::forward(const Tensor& y, const Tensor& normed, const Activations& saved) const {
  const ProfilePart part("dense FFN");
  linear_swiglu_forward(saved.gate_up, saved.h, normed, gate_up_);
  linear_forward(y, saved.h, down_, true);
}

void Ffn::backward(const Tensor& dnormed, const Tensor& dy, const Tensor& normed,
                   const Activations& saved, const Scratch& scratch, bool accumulate) const {
  const ProfilePart part("dense FFN");
  if (recompute_) silu_mul_forward(saved.h, saved.gate_up);
  linear_backward(scratch.dh, dy, saved.h, down_);
  silu_mul_backward(scratch.dgate_up, scratch.dh, saved.gate_up);
  linear_backward(dnormed, scratch.dgate_up, normed, gate_up_, accumulate);
}

}  // namespace minke
