#include "layers/gqa.h"

#include "base/profile.h"
#include "kernels/rope.h"

namespace minke {

Gqa::Gqa(const LayerBuilder& builder, const std::string& prefix, const RotaryTable& rotary)
    : compute_(builder.compute),
      heads_(builder.config.num_attention_heads),
      key_heads_(builder.config.num_key_value_heads),
      width_(builder.config.head_dim),
      recompute_(builder.recompute),
      scale_(attention_scale(builder.config)),
      rotary_(rotary),
      qkv_(builder, {prefix + "q_proj.weight", prefix + "k_proj.weight", prefix + "v_proj.weight"}),
      out_(builder, {prefix + "o_proj.weight"}) {
  if (!builder.config.has_qk_norm()) return;
  q_norm_ = RmsNorm(builder, prefix + "q_norm.weight");
  k_norm_ = RmsNorm(builder, prefix + "k_norm.weight");
}

Gqa::Activations Gqa::allocate_recomputed(Arena& arena, int64_t tokens) const {
  Activations shared;
  if (has_norms()) shared.qk = arena.allocate(compute_, {tokens, rotated_heads() * width_});
  return shared;
}

Gqa::Activations Gqa::allocate_activations(Arena& arena, int64_t tokens) const {
  Activations saved;
  saved.qkv = arena.allocate(compute_, {tokens, qkv_.out_features()});
  if (!has_norms()) saved.qk = saved.qkv.slice_last(0, rotated_heads() * width_);
  saved.out = arena.allocate(compute_, {tokens, heads_ * width_});
  saved.lse = arena.allocate(DType::f32, {tokens, heads_});
  return saved;
}

Gqa::Scratch Gqa::allocate_scratch(Arena& arena, int64_t tokens) const {
  Scratch scratch;
  scratch.dout = arena.allocate(compute_, {tokens, heads_ * width_});
  scratch.dqkv = arena.allocate(compute_, {tokens, qkv_.out_features()});
  scratch.dqk = has_norms() ? arena.allocate(compute_, {tokens, rotated_heads() * width_})
                            : scratch.dqkv.slice_last(0, rotated_heads() * width_);
  return scratch;
}

void Gqa::refresh() const {
  qkv_.refresh();
  out_.refresh();
}

Tensor Gqa::heads(const Tensor& x, int64_t begin, int64_t end) const {
  return x.slice_last(begin * width_, end * width_).split_last(end - begin, width_);
}

// q and k of each head, normed: what rotate() then turns.
void Gqa::norm_heads(const Activations& saved) const {
  const Tensor to = heads(saved.qk, 0, rotated_heads());
  const Tensor from = heads(saved.qkv, 0, rotated_heads());
  for (int64_t head = 0; head < rotated_heads(); ++head)
    norm_of(head).forward(to.select(head), from.select(head));
}

void Gqa::rotate(const Tensor& qk, const Tensor& positions, bool inverse) const {
  rope(heads(qk, 0, rotated_heads()), positions, rotary_.cosine, rotary_.sine, inverse,
       RopePairs::halves);
}

AttentionKeys Gqa::keys_of(const Tensor& qk, const Tensor& qkv) const {
  return {heads(qk, heads_, rotated_heads()), Tensor(),
          heads(qkv, rotated_heads(), rotated_heads() + key_heads_)};
}

void Gqa::forward(const Tensor& y, const Tensor& normed, const Activations& saved,
                  const TokenRows& rows) const {
  const ProfilePart part("attention");
  linear_forward(saved.qkv, normed, qkv_);
  if (has_norms()) norm_heads(saved);
  rotate(saved.qk, rows.positions, false);
  attention_forward(saved.out.split_last(heads_, width_), saved.lse, heads(saved.qk, 0, heads_),
                    keys_of(saved.qk, saved.qkv), rows.sequences, scale_);
  linear_forward(y, saved.out, out_, true);
}

KvPages Gqa::allocate_pages(Arena& arena, int64_t pages) const {
  const int64_t rows = pages * page_tokens;
  return {arena.allocate(compute_, {rows, key_heads_, width_}),
          arena.allocate(compute_, {rows, key_heads_, width_})};
}

void Gqa::forward_cached(const Tensor& y, const Tensor& normed, const KvPages& pages,
                         const Batch& batch, Arena& arena) const {
  const ProfilePart part("attention");
  const int64_t mark = arena.mark(), tokens = normed.rows();
  Activations now = allocate_activations(arena, tokens);
  if (has_norms()) now.qk = arena.allocate(compute_, {tokens, rotated_heads() * width_});
  if (!arena.is_counting()) {
    linear_forward(now.qkv, normed, qkv_);
    if (has_norms()) norm_heads(now);
    rotate(now.qk, batch.positions, false);
    const AttentionKeys added = keys_of(now.qk, now.qkv);
    store_rows(pages.k, added.k, batch);
    store_rows(pages.v, added.v, batch);
    std::vector<AttentionSequence> sequences;
    for (const BatchSegment& segment : batch.segments)
      sequences.push_back(attention_sequence(segment));
    attention_forward(now.out.split_last(heads_, width_), Tensor(), heads(now.qk, 0, heads_),
                      {pages.k, Tensor(), pages.v}, sequences, scale_);
    linear_forward(y, now.out, out_, true);
  }
  arena.release(mark);
}

void Gqa::backward(const Tensor& dnormed, const Tensor& dy, const Tensor& normed,
                   const Activations& saved, const Scratch& scratch, const TokenRows& rows) const {
  const ProfilePart part("attention");
  if (recompute_ && has_norms()) {
    norm_heads(saved);
    rotate(saved.qk, rows.positions, false);
  }
  linear_backward(scratch.dout, dy, saved.out, out_);  // y = out·W_Oᵀ + b
  attention_backward(heads(scratch.dqk, 0, heads_), keys_of(scratch.dqk, scratch.dqkv), Tensor(),
                     scratch.dout.split_last(heads_, width_), saved.out.split_last(heads_, width_),
                     saved.lse, heads(saved.qk, 0, heads_), keys_of(saved.qk, saved.qkv),
                     rows.sequences, scale_);
  rotate(scratch.dqk, rows.positions, true);
  if (has_norms()) {
    const Tensor dx = heads(scratch.dqkv, 0, rotated_heads());
    const Tensor dnorm = heads(scratch.dqk, 0, rotated_heads());
    const Tensor x = heads(saved.qkv, 0, rotated_heads());
    for (int64_t head = 0; head < rotated_heads(); ++head)
      norm_of(head).backward(dx.select(head), dnorm.select(head), x.select(head), false);
  }
  linear_backward(dnormed, scratch.dqkv, normed, qkv_);  // qkv = normed·Wᵀ + b
}

}  // namespace minke
