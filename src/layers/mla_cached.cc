// MLA over pages of latents: what inference runs.
#include "base/profile.h"
#include "base/threads.h"
#include "kernels/blocks.h"
#include "kernels/elementwise.h"
#include "kernels/rope.h"
#include "layers/mla.h"

namespace minke {
namespace {

// Rows [begin, end) as f32.
Tensor as_f32(const StoredMatrix& matrix, int64_t begin, int64_t end, std::vector<float>& buffer) {
  buffer.resize(static_cast<size_t>((end - begin) * matrix.columns));
  dequantize_rows(matrix, begin, end, buffer.data());
  return Tensor(buffer.data(), DType::f32, {end - begin, matrix.columns});
}

}  // namespace

// absorb_k_ needs W_UK transposed. Files with W_UKᵀ keep its format; from kv_b it is made in the
// compute dtype.
void Mla::build_cached(const LayerBuilder& builder, const std::string& prefix) {
  Arena& arena = builder.arena;
  const Packing plain = packing_of(BlockFormat::f32, compute_);
  k_b_ = builder.weights.find_stored(prefix + "k_b_proj.weight", heads_ * kv_lora_, nope_);
  v_b_ = builder.weights.find_stored(prefix + "v_b_proj.weight", heads_ * v_, kv_lora_);
  if (k_b_ && v_b_) {
    kv_up_.forward = {allocate_packed(arena, plain, heads_ * (nope_ + v_), kv_lora_)};
  } else {
    kv_b_ = builder.weights.stored(prefix + "kv_b_proj.weight");
    kv_up_ = Linear(builder, {prefix + "kv_b_proj.weight"});
  }
  const Packing k_packing = kv_b_ ? plain : packing_of(k_b_->format, compute_);
  const Packing v_packing = packing_of((kv_b_ ? kv_b_ : v_b_)->format, compute_);
  for (int64_t head = 0; head < heads_; ++head)
    absorb_k_.push_back(allocate_packed(arena, k_packing, kv_lora_, nope_));
  for (int64_t head = 0; head < heads_; ++head)
    absorb_v_.push_back(allocate_packed(arena, v_packing, v_, kv_lora_));
}

void Mla::refresh_cached() const {
  parallel_for(static_cast<int64_t>(absorb_k_.size()), [&](int64_t head) {
    std::vector<float> buffer;
    const int64_t row = head * (nope_ + v_);  // of kv_b
    if (kv_b_) {
      pack_transposed(absorb_k_[head], as_f32(*kv_b_, row, row + nope_, buffer));
      if (kv_b_->scales)  // their blocks of 128 rows need not be a head's
        pack(absorb_v_[head], as_f32(*kv_b_, row + nope_, row + nope_ + v_, buffer));
      else
        pack_stored(absorb_v_[head], kv_b_->slice_rows(row + nope_, row + nope_ + v_));
      return;
    }
    const StoredMatrix k = k_b_->slice_rows(head * kv_lora_, (head + 1) * kv_lora_);
    const StoredMatrix v = v_b_->slice_rows(head * v_, (head + 1) * v_);
    pack_stored(absorb_k_[head], k);
    pack_stored(absorb_v_[head], v);
    const Tensor up_k = as_f32(k, 0, kv_lora_, buffer);  // [kv_lora, nope]
    std::vector<float> transposed(buffer.size());
    for (int64_t c = 0; c < kv_lora_; ++c)
      for (int64_t n = 0; n < nope_; ++n) transposed[n * kv_lora_ + c] = up_k.row<float>(c)[n];
    pack(kv_up_.forward[0], Tensor(transposed.data(), DType::f32, {nope_, kv_lora_}), row);
    pack(kv_up_.forward[0], as_f32(v, 0, v_, buffer), row + nope_);
  });
}

KvPages Mla::allocate_pages(Arena& arena, int64_t pages) const {
  return {arena.allocate(compute_, {pages * page_tokens, kv_lora_ + rope_}), Tensor()};
}

void Mla::forward_cached(const Tensor& y, const Tensor& normed, const KvPages& pages,
                         const Batch& batch, Arena& arena) const {
  const ProfilePart part("latent attention");
  const int64_t mark = arena.mark(), tokens = normed.rows();
  Activations now = allocate_activations(arena, tokens);
  if (q_lora_) {
    now.c_q = arena.allocate(compute_, {tokens, q_lora_});
    now.q = arena.allocate(compute_, {tokens, heads_, nope_ + rope_});
  }
  const Tensor latent = arena.allocate(compute_, {tokens, kv_lora_ + rope_});
  if (!arena.is_counting()) {
    linear_forward(now.down, normed, down_);
    if (q_lora_)
      up_project_queries(now, {batch.positions, {}});
    else
      rope(now.q.slice_last(nope_, nope_ + rope_), batch.positions, rotary_.cosine, rotary_.sine,
           false);
    write_latent(latent, now.down, batch.positions);
    store_rows(pages.k, latent, batch);
  }
  const Tensor out = now.out.split_last(heads_, v_);
  attend_absorbed(out, now.q, pages, batch, arena);
  for (const BatchSegment& segment : batch.segments)
    if (segment.form == AttentionForm::expanded) attend_expanded(out, now.q, pages, segment, arena);
  if (!arena.is_counting()) linear_forward(y, now.out, out_, true);
  arena.release(mark);
}

// What the pages keep: the normed latent and the rotated key.
void Mla::write_latent(const Tensor& latent, const Tensor& down, const Tensor& positions) const {
  const int64_t begin = query_columns(), key = begin + kv_lora_;
  kv_norm_.forward(latent.slice_last(0, kv_lora_), down.slice_last(begin, key));
  const Tensor new_key = latent.slice_last(kv_lora_, kv_lora_ + rope_);
  convert(new_key, down.slice_last(key, key + rope_));
  rope(new_key.split_last(1, rope_), positions, rotary_.cosine, rotary_.sine, false);
}

// Keys and values of all heads are made from all latents of the sequence.
void Mla::attend_expanded(const Tensor& out, const Tensor& q, const KvPages& pages,
                          const BatchSegment& segment, Arena& arena) const {
  const int64_t mark = arena.mark(), keys = segment.keys();
  const Tensor latent = arena.allocate(compute_, {keys, kv_lora_ + rope_});
  const Tensor kv = arena.allocate(compute_, {keys, heads_, nope_ + v_});
  if (!arena.is_counting()) {
    gather_pages(latent, pages.k, segment);
    linear_forward(kv.reshape({keys, heads_ * (nope_ + v_)}), latent.slice_last(0, kv_lora_),
                   kv_up_);
    const AttentionKeys expanded{kv.slice_last(0, nope_),
                                 latent.slice_last(kv_lora_, kv_lora_ + rope_),
                                 kv.slice_last(nope_, nope_ + v_)};
    const AttentionSequence sequence{segment.row_begin, segment.row_end, 0, keys};
    attention_forward(out, Tensor(), q, expanded, {&sequence, 1}, scale_);
  }
  arena.release(mark);
}

// q̃_h = W_UK,hᵀ·q_nope,h; attention of q̃ on the latents, one key head for all; o_h =
// W_UV,h·context_h.
void Mla::attend_absorbed(const Tensor& out, const Tensor& q, const KvPages& pages,
                          const Batch& batch, Arena& arena) const {
  const int64_t mark = arena.mark(), rows = batch.absorbed_rows(), width = kv_lora_ + rope_;
  if (rows == 0) return;
  const Tensor absorbed = arena.allocate(compute_, {rows, heads_, width});
  const Tensor context = arena.allocate(compute_, {rows, heads_, kv_lora_});
  if (!arena.is_counting()) {
    std::vector<Tensor> to, from, results, contexts;
    for (int64_t head = 0; head < heads_; ++head) {
      to.push_back(absorbed.select(head).slice_last(0, kv_lora_));
      from.push_back(q.slice_rows(0, rows).select(head).slice_last(0, nope_));
      results.push_back(out.slice_rows(0, rows).select(head));
      contexts.push_back(context.select(head));
    }
    matmul_batched(to, from, absorb_k_);
    for (int64_t head = 0; head < heads_; ++head)
      convert(absorbed.select(head).slice_last(kv_lora_, width),
              q.slice_rows(0, rows).select(head).slice_last(nope_, nope_ + rope_));
    std::vector<AttentionSequence> sequences;
    for (const BatchSegment& segment : batch.segments)
      if (segment.form == AttentionForm::absorbed) sequences.push_back(attention_sequence(segment));
    const Tensor c = pages.k.slice_last(0, kv_lora_).split_last(1, kv_lora_);
    attention_forward(context, Tensor(), absorbed, {c, pages.k.slice_last(kv_lora_, width), c},
                      sequences, scale_);
    matmul_batched(results, contexts, absorb_v_);
  }
  arena.release(mark);
}

}  // namespace minke
