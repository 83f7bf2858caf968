// MLA over cached latents: what inference runs.
#include "kernels/elementwise.h"
#include "kernels/rope.h"
#include "layers/mla.h"

namespace minke {

void Mla::forward_cached(const Tensor& y, const Tensor& normed, const Cache& cache, int64_t past,
                         const Tensor& positions, AttentionForm form, Arena& arena) const {
  const int64_t mark = arena.mark(), tokens = normed.rows(), keys = past + tokens;
  require(keys <= cache.latent.rows(), "the cache holds {} positions, {} are needed",
          cache.latent.rows(), keys);
  Activations now = allocate_activations(arena, tokens);
  if (q_lora_) {
    now.c_q = arena.allocate(compute_, {tokens, q_lora_});
    now.q = arena.allocate(compute_, {tokens, heads_, nope_ + rope_});
  }
  const TokenRows rows{positions, {{0, tokens, 0, keys}}};
  const Tensor all = cache.latent.slice_rows(0, keys);
  if (!arena.is_counting()) {
    linear_forward(now.down, normed, down_);
    if (q_lora_)
      up_project_queries(now, rows);
    else
      rope(now.q.slice_last(nope_, nope_ + rope_), positions, rotary_.cosine, rotary_.sine, false);
    append_latent(all.slice_rows(past, keys), now.down, positions);
  }
  const Tensor out = now.out.split_last(heads_, v_);
  if (form == AttentionForm::absorbed)
    attend_absorbed(out, now.q, all, rows, arena);
  else
    attend_expanded(out, now.q, all, rows, arena);
  if (!arena.is_counting()) linear_forward(y, now.out, out_, true);
  arena.release(mark);
}

// The new rows of the cache: the normed latent and the rotated key.
void Mla::append_latent(const Tensor& added, const Tensor& down, const Tensor& positions) const {
  const int64_t latent = query_columns(), key = latent + kv_lora_;
  kv_norm_.forward(added.slice_last(0, kv_lora_), down.slice_last(latent, key));
  const Tensor new_key = added.slice_last(kv_lora_, kv_lora_ + rope_);
  convert(new_key, down.slice_last(key, key + rope_));
  rope(new_key.split_last(1, rope_), positions, rotary_.cosine, rotary_.sine, false);
}

// Keys and values of all heads are made from the whole cache.
void Mla::attend_expanded(const Tensor& out, const Tensor& q, const Tensor& latent,
                          const TokenRows& rows, Arena& arena) const {
  const int64_t keys = latent.rows();
  const Tensor kv = arena.allocate(compute_, {keys, heads_, nope_ + v_});
  if (arena.is_counting()) return;
  linear_forward(kv.reshape({keys, heads_ * (nope_ + v_)}), latent.slice_last(0, kv_lora_), kv_up_);
  const AttentionKeys expanded{kv.slice_last(0, nope_),
                               latent.slice_last(kv_lora_, kv_lora_ + rope_),
                               kv.slice_last(nope_, nope_ + v_)};
  attention_forward(out, Tensor(), q, expanded, rows.sequences, scale_);
}

// q̃_h = W_UK,hᵀ·q_nope,h; attention of q̃ on the latent, one key head for all; o_h =
// W_UV,h·context_h.
void Mla::attend_absorbed(const Tensor& out, const Tensor& q, const Tensor& latent,
                          const TokenRows& rows, Arena& arena) const {
  const int64_t tokens = q.rows(), width = kv_lora_ + rope_;
  const Tensor absorbed = arena.allocate(compute_, {tokens, heads_, width});
  const Tensor context = arena.allocate(compute_, {tokens, heads_, kv_lora_});
  if (arena.is_counting()) return;
  for (int64_t head = 0; head < heads_; ++head) {
    const Tensor to = absorbed.select(head), from = q.select(head);
    matmul(to.slice_last(0, kv_lora_), from.slice_last(0, nope_), absorb_k_[head]);
    convert(to.slice_last(kv_lora_, width), from.slice_last(nope_, nope_ + rope_));
  }
  const Tensor c = latent.slice_last(0, kv_lora_).split_last(1, kv_lora_);
  attention_forward(context, Tensor(), absorbed, {c, latent.slice_last(kv_lora_, width), c},
                    rows.sequences, scale_);
  for (int64_t head = 0; head < heads_; ++head)
    matmul(out.select(head), context.select(head), absorb_v_[head]);
}

}  // namespace minke
