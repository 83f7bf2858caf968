#pragma once
// A transformer block, pre-norm: x ← x + attention(norm(x)), x ← x + FFN(norm(x)): latent or
// grouped-query attention, dense FFN or experts.
// The residual stream is f32 in every compute mode.

#include <optional>
#include <span>

#include "layers/gqa.h"
#include "layers/mla.h"
#include "layers/moe.h"

namespace minke {

// "model.layers.3.": what the names of a layer's parameters begin with.
std::string layer_prefix(int64_t index);

// What a step asks of the balance loss.
struct BalanceOptions {
  std::span<const int64_t> bounds;  // sequence s is rows [bounds[s], bounds[s + 1])
  double alpha = 0.0;               // 0: no loss
  double gradient_scale = 1.0;
};

class Block {
 public:
  struct Activations {
    Tensor middle, output;                // f32 [T, hidden]: residual after attention, after FFN
    Tensor attention_normed, ffn_normed;  // [T, hidden]
    Mla::Activations mla;
    Gqa::Activations gqa;
    Ffn::Activations dense;
    Moe::Activations moe;
  };
  // Shared by all blocks of a model: they run one after the other.
  struct Scratch {
    Tensor dy, dnormed;  // compute dtype and f32 [T, hidden]
    Mla::Scratch mla;
    Gqa::Scratch gqa;
    Ffn::Scratch dense;
    Moe::Scratch moe;
    Activations recomputed;  // with recomputation: what all blocks share
  };

  // index: the layer id, which says dense or experts.
  Block(const LayerBuilder& builder, int64_t index, const RotaryTable& rotary);

  // With recomputation `scratch` gives the shared parts, so it is allocated first.
  Activations allocate_activations(Arena& arena, int64_t tokens, const Scratch& scratch) const;
  void allocate_scratch(Scratch& scratch, Arena& arena, int64_t tokens) const;
  void refresh() const;

  // Reads x f32 [T, hidden], writes saved.output.
  void forward(const Tensor& x, Activations& saved, const Scratch& scratch,
               const TokenRows& rows) const;
  // dx f32 [T, hidden]: gradient of the output on entry, of the input on return. Returns the
  // balance loss.
  double backward(const Tensor& dx, const Tensor& x, const Activations& saved,
                  const Scratch& scratch, const TokenRows& rows,
                  const BalanceOptions& balance) const;
  // x f32 [T, hidden] is updated in place; see Mla::forward_cached.
  void forward_cached(const Tensor& x, const KvPages& pages, const Batch& batch,
                      Arena& arena) const;

  KvPages allocate_pages(Arena& arena, int64_t pages) const;
  const Moe* moe() const { return moe_ ? &*moe_ : nullptr; }

 private:
  void allocate_attention_scratch(Scratch& scratch, Arena& arena, int64_t tokens) const;
  void allocate_attention(Activations& saved, Arena& arena, int64_t tokens,
                          const Activations& common) const;
  const Tensor& as_compute(const Tensor& dx, const Scratch& scratch) const;

  DType compute_;
  bool recompute_;
  int64_t hidden_;
  RmsNorm attention_norm_, ffn_norm_;
  std::optional<Mla> mla_;  // or
  std::optional<Gqa> gqa_;
  std::optional<Ffn> dense_;  // or
  std::optional<Moe> moe_;
};

}  // namespace minke
