#include "layers/block.h"

#include "base/profile.h"
#include "kernels/elementwise.h"

namespace minke {

std::string layer_prefix(int64_t index) { return "model.layers." + std::to_string(index) + "."; }

Block::Block(const LayerBuilder& builder, int64_t index, const RotaryTable& rotary)
    : compute_(builder.compute),
      recompute_(builder.recompute),
      hidden_(builder.config.hidden_size),
      attention_norm_(builder, layer_prefix(index) + "input_layernorm.weight"),
      ffn_norm_(builder, layer_prefix(index) + "post_attention_layernorm.weight") {
  if (builder.config.is_mla())
    mla_.emplace(builder, layer_prefix(index) + "self_attn.", rotary);
  else
    gqa_.emplace(builder, layer_prefix(index) + "self_attn.", rotary);
  if (builder.config.is_moe_layer(index))
    moe_.emplace(builder, layer_prefix(index) + "mlp.");
  else
    dense_.emplace(builder, layer_prefix(index) + "mlp.");
}

void Block::allocate_attention_scratch(Scratch& scratch, Arena& arena, int64_t tokens) const {
  if (mla_) {
    scratch.mla = mla_->allocate_scratch(arena, tokens);
    if (recompute_) scratch.recomputed.mla = mla_->allocate_recomputed(arena, tokens);
  } else {
    scratch.gqa = gqa_->allocate_scratch(arena, tokens);
    if (recompute_) scratch.recomputed.gqa = gqa_->allocate_recomputed(arena, tokens);
  }
}

// Every block may be the first to need a part; those of one kind have one shape.
void Block::allocate_scratch(Scratch& scratch, Arena& arena, int64_t tokens) const {
  const auto once = [](const Tensor& tensor) { return tensor.rank == 0; };
  if (once(scratch.dy)) {
    scratch.dy = arena.allocate(compute_, {tokens, hidden_});
    scratch.dnormed = arena.allocate(DType::f32, {tokens, hidden_});
    allocate_attention_scratch(scratch, arena, tokens);
    if (recompute_) {
      scratch.recomputed.attention_normed = arena.allocate(compute_, {tokens, hidden_});
      scratch.recomputed.ffn_normed = arena.allocate(compute_, {tokens, hidden_});
    }
  }
  if (dense_ && once(scratch.dense.dh)) {
    scratch.dense = dense_->allocate_scratch(arena, tokens);
    if (recompute_)
      scratch.recomputed.dense.h = arena.allocate(compute_, {tokens, dense_->width()});
  }
  if (moe_ && once(scratch.moe.logits)) {
    scratch.moe = moe_->allocate_scratch(arena, tokens);
    if (recompute_) scratch.recomputed.moe = moe_->allocate_recomputed(arena, tokens);
  }
}

// What is recomputed is `common` to all blocks, or this block's own.
void Block::allocate_attention(Activations& saved, Arena& arena, int64_t tokens,
                               const Activations& common) const {
  if (mla_) {
    saved.mla = mla_->allocate_activations(arena, tokens);
    const Mla::Activations up = recompute_ ? common.mla : mla_->allocate_recomputed(arena, tokens);
    if (up.q.rank) saved.mla.q = up.q;
    saved.mla.c_q = up.c_q;
    saved.mla.c = up.c;
    saved.mla.kv = up.kv;
  } else {
    saved.gqa = gqa_->allocate_activations(arena, tokens);
    const Gqa::Activations normed =
        recompute_ ? common.gqa : gqa_->allocate_recomputed(arena, tokens);
    if (normed.qk.rank) saved.gqa.qk = normed.qk;
  }
}

Block::Activations Block::allocate_activations(Arena& arena, int64_t tokens,
                                               const Scratch& scratch) const {
  Activations saved;
  saved.middle = arena.allocate(DType::f32, {tokens, hidden_});
  saved.output = arena.allocate(DType::f32, {tokens, hidden_});
  const Activations& common = scratch.recomputed;
  allocate_attention(saved, arena, tokens, common);
  if (dense_) saved.dense = dense_->allocate_activations(arena, tokens);
  if (moe_) saved.moe = moe_->allocate_activations(arena, tokens);

  if (recompute_) {
    saved.attention_normed = common.attention_normed;
    saved.ffn_normed = common.ffn_normed;
    if (dense_) saved.dense.h = common.dense.h;
    if (moe_) {
      saved.moe.h = common.moe.h;
      saved.moe.shared.h = common.moe.shared.h;
    }
  } else {
    saved.attention_normed = arena.allocate(compute_, {tokens, hidden_});
    saved.ffn_normed = arena.allocate(compute_, {tokens, hidden_});
  }
  return saved;
}

void Block::refresh() const {
  if (mla_) mla_->refresh();
  if (gqa_) gqa_->refresh();
  if (dense_) dense_->refresh();
  if (moe_) moe_->refresh();
}

void Block::forward(const Tensor& x, Activations& saved, const Scratch& scratch,
                    const TokenRows& rows) const {
  const ProfilePart part("residual stream");
  attention_norm_.forward(saved.attention_normed, x);
  convert(saved.middle, x);
  if (mla_)
    mla_->forward(saved.middle, saved.attention_normed, saved.mla, rows);
  else
    gqa_->forward(saved.middle, saved.attention_normed, saved.gqa, rows);

  ffn_norm_.forward(saved.ffn_normed, saved.middle);
  convert(saved.output, saved.middle);
  if (dense_)
    dense_->forward(saved.output, saved.ffn_normed, saved.dense);
  else
    moe_->forward(saved.output, saved.ffn_normed, saved.moe, scratch.moe);
}

const Tensor& Block::as_compute(const Tensor& dx, const Scratch& scratch) const {
  if (compute_ == DType::f32) return dx;
  convert(scratch.dy, dx);
  return scratch.dy;
}

double Block::backward(const Tensor& dx, const Tensor& x, const Activations& saved,
                       const Scratch& scratch, const TokenRows& rows,
                       const BalanceOptions& balance) const {
  const ProfilePart part("residual stream");
  double balance_loss = 0;
  if (recompute_) ffn_norm_.forward(saved.ffn_normed, saved.middle);
  const Tensor& dy = as_compute(dx, scratch);
  if (dense_)
    dense_->backward(scratch.dnormed, dy, saved.ffn_normed, saved.dense, scratch.dense, false);
  else
    balance_loss = moe_->backward(scratch.dnormed, dy, saved.ffn_normed, saved.moe, scratch.moe,
                                  balance.bounds, balance.alpha, balance.gradient_scale);
  ffn_norm_.backward(dx, scratch.dnormed, saved.middle, true);

  if (recompute_) attention_norm_.forward(saved.attention_normed, x);
  const Tensor& dmiddle = as_compute(dx, scratch);
  if (mla_)
    mla_->backward(scratch.dnormed, dmiddle, saved.attention_normed, saved.mla, scratch.mla, rows);
  else
    gqa_->backward(scratch.dnormed, dmiddle, saved.attention_normed, saved.gqa, scratch.gqa, rows);
  attention_norm_.backward(dx, scratch.dnormed, x, true);
  return balance_loss;
}

KvPages Block::allocate_pages(Arena& arena, int64_t pages) const {
  return mla_ ? mla_->allocate_pages(arena, pages) : gqa_->allocate_pages(arena, pages);
}

void Block::forward_cached(const Tensor& x, const KvPages& pages, const Batch& batch,
                           Arena& arena) const {
  const ProfilePart part("residual stream");
  const int64_t mark = arena.mark(), tokens = x.rows();
  const bool counting = arena.is_counting();
  const Tensor normed = arena.allocate(compute_, {tokens, hidden_});
  if (!counting) attention_norm_.forward(normed, x);
  if (mla_)
    mla_->forward_cached(x, normed, pages, batch, arena);
  else
    gqa_->forward_cached(x, normed, pages, batch, arena);
  if (!counting) ffn_norm_.forward(normed, x);
  if (dense_) {
    const Ffn::Activations saved = dense_->allocate_activations(arena, tokens);
    if (!counting) dense_->forward(x, normed, saved);
  } else {
    Moe::Activations saved = moe_->allocate_activations(arena, tokens);
    const Moe::Scratch scratch = moe_->allocate_forward_scratch(arena, tokens);
    if (!counting) moe_->forward(x, normed, saved, scratch);
  }
  arena.release(mark);
}

}  // namespace minke
