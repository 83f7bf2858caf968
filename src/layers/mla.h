#pragma once
// Multi-head latent attention (DeepSeek-V2 report, section 2.1; V3 report, section 2.1.1), with and
// without low-rank queries. Two formulations of one function:
//   expanded: keys and values of all heads are made from the latent; training and prompts;
//   absorbed: the up-projections move to the queries and outputs, and attention runs on the latent
//             itself; generated tokens.

#include <string>
#include <vector>

#include "layers/rms_norm.h"
#include "layers/rotary.h"
#include "layers/token_rows.h"

namespace minke {

enum class AttentionForm { expanded, absorbed };

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
  // The cache of one layer: c and the rotated key of each position.
  struct Cache {
    Tensor latent;  // [capacity, kv_lora + rope]
  };

  Mla(const LayerBuilder& builder, const std::string& prefix, const RotaryTable& rotary);

  Activations allocate_activations(Arena& arena, int64_t tokens) const;
  // The parts that recomputation shares between layers.
  Activations allocate_recomputed(Arena& arena, int64_t tokens) const;
  Scratch allocate_scratch(Arena& arena, int64_t tokens) const;
  Cache allocate_cache(Arena& arena, int64_t capacity) const;
  void refresh() const;

  // y f32 [T, hidden] += attention(normed).
  void forward(const Tensor& y, const Tensor& normed, const Activations& saved,
               const TokenRows& rows) const;
  // Makes c_q, q, c and kv again from `down`.
  void recompute(const Activations& saved, const TokenRows& rows) const;
  // dnormed f32 [T, hidden] is overwritten; dy [T, hidden] has the compute dtype.
  void backward(const Tensor& dnormed, const Tensor& dy, const Tensor& normed,
                const Activations& saved, const Scratch& scratch, const TokenRows& rows) const;

  // forward() for tokens that follow `past` cached positions of one sequence: appends to the cache
  // and attends to all of it. `arena` holds what the call needs and is released; a counting arena
  // only counts it.
  void forward_cached(const Tensor& y, const Tensor& normed, const Cache& cache, int64_t past,
                      const Tensor& positions, AttentionForm form, Arena& arena) const;

 private:
  int64_t query_columns() const;  // of `down`: q_lora, or H·qk without low-rank queries
  void up_project_queries(const Activations& saved, const TokenRows& rows) const;
  void up_project_keys(const Activations& saved) const;
  AttentionKeys keys_of(const Activations& saved) const;
  void append_latent(const Tensor& added, const Tensor& down, const Tensor& positions) const;
  void attend_expanded(const Tensor& out, const Tensor& q, const Tensor& latent,
                       const TokenRows& rows, Arena& arena) const;
  void attend_absorbed(const Tensor& out, const Tensor& q, const Tensor& latent,
                       const TokenRows& rows, Arena& arena) const;

  DType compute_;
  int64_t hidden_, heads_, nope_, rope_, v_, q_lora_, kv_lora_;
  bool recompute_;
  float scale_;
  RotaryTable rotary_;
  RmsNorm q_norm_, kv_norm_;
  Linear down_, q_up_, kv_up_, out_;
  std::vector<PackedMatrix> absorb_k_, absorb_v_;  // per head, for inference only
};

}  // namespace minke
