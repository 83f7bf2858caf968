#pragma once
// Multi-head latent attention (DeepSeek-V2 report, section 2.1; V3 report, section 2.1.1), with and
// without low-rank queries. Two formulations of one function:
//   expanded: keys and values of all heads are made from the latent; training and prompts;
//   absorbed: the up-projections move to the queries and outputs, and attention runs on the latent
//             itself; generated tokens.

#include <optional>
#include <string>
#include <vector>

#include "layers/kv_view.h"
#include "layers/rms_norm.h"
#include "layers/rotary.h"
#include "layers/token_rows.h"

namespace minke {

class Mla {
 public:
  // What backward needs of a forward pass. With recomputation normed, c_q, q, c and kv are shared
  // by all layers.
  struct Activations {
    Tensor down;  // [T, q_lora (or H·qk) + kv_lora + rope]: the down-projections; rope part rotated
    Tensor c_q;   // [T, q_lora], normed; empty without low-rank queries
    Tensor q;     // [T, H, nope + rope], rotated
    Tensor c;     // [T, kv_lora], normed: with the rotated key, what inference caches
    Tensor kv;    // [T, H, nope + v]
    Tensor out;   // [T, H·v]
    Tensor lse;   // f32 [T, H]
  };
  // Gradients that live during one layer's backward only.
  struct Scratch {
    Tensor dout, dq, dkv, dk_rope, ddown, dc_q, dc;
  };
  Mla(const LayerBuilder& builder, const std::string& prefix, const RotaryTable& rotary);

  Activations allocate_activations(Arena& arena, int64_t tokens) const;
  // The parts that recomputation shares between layers.
  Activations allocate_recomputed(Arena& arena, int64_t tokens) const;
  Scratch allocate_scratch(Arena& arena, int64_t tokens) const;
  // k = [64·pages, kv_lora + rope]: c and the rotated key of each position.
  KvPages allocate_pages(Arena& arena, int64_t pages) const;
  void refresh() const;

  // y f32 [T, hidden] += attention(normed).
  void forward(const Tensor& y, const Tensor& normed, const Activations& saved,
               const TokenRows& rows) const;
  // Makes c_q, q, c and kv again from `down`.
  void recompute(const Activations& saved, const TokenRows& rows) const;
  // dnormed f32 [T, hidden] is overwritten; dy [T, hidden] has the compute dtype.
  void backward(const Tensor& dnormed, const Tensor& dy, const Tensor& normed,
                const Activations& saved, const Scratch& scratch, const TokenRows& rows) const;

  // forward() for a batch of inference: its tokens go into the pages and attend to all of their
  // sequences' tokens up to themselves. `arena` holds what the call needs and is released; a
  // counting arena only counts it.
  void forward_cached(const Tensor& y, const Tensor& normed, const KvPages& pages,
                      const Batch& batch, Arena& arena) const;

 private:
  int64_t query_columns() const;  // of `down`: q_lora, or H·qk without low-rank queries
  void up_project_queries(const Activations& saved, const TokenRows& rows) const;
  void up_project_keys(const Activations& saved) const;
  AttentionKeys keys_of(const Activations& saved) const;
  void build_cached(const LayerBuilder& builder, const std::string& prefix);
  void refresh_cached() const;
  void write_latent(const Tensor& latent, const Tensor& down, const Tensor& positions) const;
  void attend_expanded(const Tensor& out, const Tensor& q, const KvPages& pages,
                       const BatchSegment& segment, Arena& arena) const;
  void attend_absorbed(const Tensor& out, const Tensor& q, const KvPages& pages, const Batch& batch,
                       Arena& arena) const;

  DType compute_;
  int64_t hidden_, heads_, nope_, rope_, v_, q_lora_, kv_lora_;
  bool recompute_;
  float scale_;
  RotaryTable rotary_;
  RmsNorm q_norm_, kv_norm_;
  Linear down_, q_up_, kv_up_, out_;
  // Inference only. The up-projection as it is stored: kv_b, or (GGUF) W_UKᵀ and W_UV of each head.
  std::optional<StoredMatrix> kv_b_, k_b_, v_b_;
  std::vector<PackedMatrix> absorb_k_, absorb_v_;  // W_UKᵀ and W_UV, per head
};

}  // namespace minke
