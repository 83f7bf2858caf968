#pragma once
// Grouped-query attention (Ainslie et al. 2023) as Llama, Qwen2 and Qwen3 have it: query head h
// reads key and value head h / (H / K). RoPE rotates halves of a head. Qwen3 norms each head's
// queries and keys before that, with one weight for all heads of a layer.
//   [q; k; v] = x·W_qkvᵀ (+ b), q, k ← rope(norm(q)), rope(norm(k)), y = attention(q, k, v)·W_Oᵀ (+
//   b)

#include <string>

#include "layers/kv_view.h"
#include "layers/rms_norm.h"
#include "layers/rotary.h"
#include "layers/token_rows.h"

namespace minke {

class Gqa {
 public:
  // What backward needs of a forward pass; H query heads, K key heads, D elements each.
  struct Activations {
    Tensor qkv;  // [T, (H + 2K)·D]: the projections; without norms q and k in them are rotated
    Tensor qk;   // [T, (H + K)·D]: normed and rotated; without norms columns of qkv. With
                 // recomputation shared by all layers
    Tensor out;  // [T, H·D]
    Tensor lse;  // f32 [T, H]
  };
  // Gradients that live during one layer's backward only.
  struct Scratch {
    Tensor dout, dqkv, dqk;  // without norms dqk is columns of dqkv
  };

  Gqa(const LayerBuilder& builder, const std::string& prefix, const RotaryTable& rotary);

  Activations allocate_activations(Arena& arena, int64_t tokens) const;
  // The parts that recomputation shares between layers: qk, if there are norms.
  Activations allocate_recomputed(Arena& arena, int64_t tokens) const;
  Scratch allocate_scratch(Arena& arena, int64_t tokens) const;
  void refresh() const;

  // y f32 [T, hidden] += attention(normed).
  void forward(const Tensor& y, const Tensor& normed, const Activations& saved,
               const TokenRows& rows) const;
  // Keys and values of all key heads: k and v [64·pages, K, D].
  KvPages allocate_pages(Arena& arena, int64_t pages) const;
  // forward() for a batch of inference; see Mla::forward_cached.
  void forward_cached(const Tensor& y, const Tensor& normed, const KvPages& pages,
                      const Batch& batch, Arena& arena) const;
  // dnormed f32 [T, hidden] is overwritten; dy [T, hidden] has the compute dtype.
  void backward(const Tensor& dnormed, const Tensor& dy, const Tensor& normed,
                const Activations& saved, const Scratch& scratch, const TokenRows& rows) const;

 private:
  bool has_norms() const { return q_norm_.weight.rank > 0; }
  int64_t rotated_heads() const { return heads_ + key_heads_; }
  // Heads [begin, end) of rows of heads, [T, end - begin, D].
  Tensor heads(const Tensor& x, int64_t begin, int64_t end) const;
  const RmsNorm& norm_of(int64_t head) const { return head < heads_ ? q_norm_ : k_norm_; }
  void norm_heads(const Activations& saved) const;
  void rotate(const Tensor& qk, const Tensor& positions, bool inverse) const;
  AttentionKeys keys_of(const Tensor& qk, const Tensor& qkv) const;

  DType compute_;
  int64_t heads_, key_heads_, width_;
  bool recompute_;
  float scale_;
  RotaryTable rotary_;
  RmsNorm q_norm_, k_norm_;  // Qwen3
  Linear qkv_, out_;
};

}  // namespace minke
