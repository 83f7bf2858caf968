#include "layers/mla.h"

#include "base/profile.h"
#include "kernels/elementwise.h"
#include "kernels/rope.h"

namespace minke {

Mla::Mla(const LayerBuilder& builder, const std::string& prefix, const RotaryTable& rotary)
    : compute_(builder.compute),
      hidden_(builder.config.hidden_size),
      heads_(builder.config.num_attention_heads),
      nope_(builder.config.qk_nope_head_dim),
      rope_(builder.config.qk_rope_head_dim),
      v_(builder.config.v_head_dim),
      q_lora_(builder.config.q_lora_rank),
      kv_lora_(builder.config.kv_lora_rank),
      recompute_(builder.recompute),
      scale_(attention_scale(builder.config)),
      rotary_(rotary) {
  const std::string kv_a = prefix + "kv_a_proj_with_mqa.weight";
  if (q_lora_) {
    q_norm_ = RmsNorm(builder, prefix + "q_a_layernorm.weight");
    down_ = Linear(builder, {prefix + "q_a_proj.weight", kv_a});
    q_up_ = Linear(builder, {prefix + "q_b_proj.weight"});
  } else {
    down_ = Linear(builder, {prefix + "q_proj.weight", kv_a});
  }
  kv_norm_ = RmsNorm(builder, prefix + "kv_a_layernorm.weight");
  out_ = Linear(builder, {prefix + "o_proj.weight"});
  if (builder.weights.stays_in_source())
    build_cached(builder, prefix);
  else
    kv_up_ = Linear(builder, {prefix + "kv_b_proj.weight"});
}

int64_t Mla::query_columns() const { return q_lora_ ? q_lora_ : heads_ * (nope_ + rope_); }

Mla::Activations Mla::allocate_recomputed(Arena& arena, int64_t tokens) const {
  Activations shared;
  if (q_lora_) {
    shared.c_q = arena.allocate(compute_, {tokens, q_lora_});
    shared.q = arena.allocate(compute_, {tokens, heads_, nope_ + rope_});
  }
  shared.c = arena.allocate(compute_, {tokens, kv_lora_});
  shared.kv = arena.allocate(compute_, {tokens, heads_, nope_ + v_});
  return shared;
}

Mla::Activations Mla::allocate_activations(Arena& arena, int64_t tokens) const {
  Activations saved;
  saved.down = arena.allocate(compute_, {tokens, down_.out_features()});
  if (!q_lora_)  // the queries are columns of the one projection
    saved.q = saved.down.slice_last(0, query_columns()).split_last(heads_, nope_ + rope_);
  saved.out = arena.allocate(compute_, {tokens, heads_ * v_});
  saved.lse = arena.allocate(DType::f32, {tokens, heads_});
  return saved;
}

Mla::Scratch Mla::allocate_scratch(Arena& arena, int64_t tokens) const {
  Scratch scratch;
  scratch.dout = arena.allocate(compute_, {tokens, heads_ * v_});
  scratch.dkv = arena.allocate(compute_, {tokens, heads_, nope_ + v_});
  scratch.dk_rope = arena.allocate(compute_, {tokens, heads_, rope_});
  scratch.ddown = arena.allocate(compute_, {tokens, down_.out_features()});
  scratch.dc = arena.allocate(compute_, {tokens, kv_lora_});
  if (q_lora_) {
    scratch.dq = arena.allocate(compute_, {tokens, heads_, nope_ + rope_});
    scratch.dc_q = arena.allocate(compute_, {tokens, q_lora_});
  } else {
    scratch.dq = scratch.ddown.slice_last(0, query_columns()).split_last(heads_, nope_ + rope_);
  }
  return scratch;
}

void Mla::refresh() const {
  for (const Linear* linear : {&down_, &q_up_, &kv_up_, &out_}) linear->refresh();
  refresh_cached();
}

// c_q = norm(x·W_qaᵀ), q = c_q·W_qbᵀ, then the rope part of each head is rotated.
void Mla::up_project_queries(const Activations& saved, const TokenRows& rows) const {
  if (!q_lora_) return;
  q_norm_.forward(saved.c_q, saved.down.slice_last(0, q_lora_));
  const int64_t tokens = saved.c_q.rows();
  linear_forward(saved.q.reshape({tokens, heads_ * (nope_ + rope_)}), saved.c_q, q_up_);
  rope(saved.q.slice_last(nope_, nope_ + rope_), rows.positions, rotary_.cosine, rotary_.sine,
       false);
}

// c = norm(x·W_kvaᵀ), [k_nope; v] of each head = c·W_kvbᵀ.
void Mla::up_project_keys(const Activations& saved) const {
  const int64_t begin = query_columns(), tokens = saved.c.rows();
  kv_norm_.forward(saved.c, saved.down.slice_last(begin, begin + kv_lora_));
  linear_forward(saved.kv.reshape({tokens, heads_ * (nope_ + v_)}), saved.c, kv_up_);
}

AttentionKeys Mla::keys_of(const Activations& saved) const {
  const int64_t end = down_.out_features();
  return {saved.kv.slice_last(0, nope_), saved.down.slice_last(end - rope_, end),
          saved.kv.slice_last(nope_, nope_ + v_)};
}

void Mla::forward(const Tensor& y, const Tensor& normed, const Activations& saved,
                  const TokenRows& rows) const {
  const ProfilePart part("latent attention");
  linear_forward(saved.down, normed, down_);
  const int64_t end = down_.out_features();
  rope(saved.down.slice_last(end - rope_, end).split_last(1, rope_), rows.positions, rotary_.cosine,
       rotary_.sine, false);
  if (!q_lora_)
    rope(saved.q.slice_last(nope_, nope_ + rope_), rows.positions, rotary_.cosine, rotary_.sine,
         false);
  recompute(saved, rows);
  attention_forward(saved.out.split_last(heads_, v_), saved.lse, saved.q, keys_of(saved),
                    rows.sequences, scale_);
  linear_forward(y, saved.out, out_, true);
}

void Mla::recompute(const Activations& saved, const TokenRows& rows) const {
  up_project_queries(saved, rows);
  up_project_keys(saved);
}

void Mla::backward(const Tensor& dnormed, const Tensor& dy, const Tensor& normed,
                   const Activations& saved, const Scratch& scratch, const TokenRows& rows) const {
  const ProfilePart part("latent attention");
  if (recompute_) recompute(saved, rows);
  const int64_t tokens = dy.rows(), latent = query_columns(), key = latent + kv_lora_;
  linear_backward(scratch.dout, dy, saved.out, out_);  // y = out·W_Oᵀ

  const AttentionKeys dkeys{scratch.dkv.slice_last(0, nope_), Tensor(),
                            scratch.dkv.slice_last(nope_, nope_ + v_)};
  attention_backward(scratch.dq, dkeys, scratch.dk_rope, scratch.dout.split_last(heads_, v_),
                     saved.out.split_last(heads_, v_), saved.lse, saved.q, keys_of(saved),
                     rows.sequences, scale_);

  // The shared rope key collects all heads; rotation is undone on both gradients.
  const Tensor dk_rope = scratch.ddown.slice_last(key, key + rope_);
  sum_heads(dk_rope, scratch.dk_rope);
  rope(dk_rope.split_last(1, rope_), rows.positions, rotary_.cosine, rotary_.sine, true);
  rope(scratch.dq.slice_last(nope_, nope_ + rope_), rows.positions, rotary_.cosine, rotary_.sine,
       true);

  // kv = c·W_kvbᵀ, c = norm(down[latent]).
  linear_backward(scratch.dc, scratch.dkv.reshape({tokens, heads_ * (nope_ + v_)}), saved.c,
                  kv_up_);
  kv_norm_.backward(scratch.ddown.slice_last(latent, key), scratch.dc,
                    saved.down.slice_last(latent, key), false);

  // q = c_q·W_qbᵀ, c_q = norm(down[:q_lora]).
  if (q_lora_) {
    linear_backward(scratch.dc_q, scratch.dq.reshape({tokens, heads_ * (nope_ + rope_)}), saved.c_q,
                    q_up_);
    q_norm_.backward(scratch.ddown.slice_last(0, q_lora_), scratch.dc_q,
                     saved.down.slice_last(0, q_lora_), false);
  }
  linear_backward(dnormed, scratch.ddown, normed, down_);
}

}  // namespace minke
