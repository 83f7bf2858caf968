#include "layers/mtp.h"

#include "base/profile.h"
#include "kernels/elementwise.h"

namespace minke {

MtpModule::MtpModule(const LayerBuilder& builder, int64_t index, const RotaryTable& rotary)
    : compute_(builder.compute),
      hidden_size_(builder.config.hidden_size),
      embedding_norm_(builder, layer_prefix(index) + "enorm.weight"),
      hidden_norm_(builder, layer_prefix(index) + "hnorm.weight"),
      head_norm_(builder, layer_prefix(index) + "shared_head.norm.weight"),
      projection_(builder, {layer_prefix(index) + "eh_proj.weight"}),
      block_(builder, index, rotary) {}

MtpModule::Activations MtpModule::allocate_activations(Arena& arena, int64_t tokens,
                                                       const Block::Scratch& scratch) const {
  Activations saved;
  saved.embedding = arena.allocate(DType::f32, {tokens, hidden_size_});
  saved.joined = arena.allocate(compute_, {tokens, 2 * hidden_size_});
  saved.input = arena.allocate(DType::f32, {tokens, hidden_size_});
  saved.block = block_.allocate_activations(arena, tokens, scratch);
  saved.normed = arena.allocate(compute_, {tokens, hidden_size_});
  return saved;
}

MtpModule::Scratch MtpModule::allocate_scratch(Arena& arena, int64_t tokens) const {
  return {arena.allocate(compute_, {tokens, 2 * hidden_size_})};
}

void MtpModule::refresh() const {
  projection_.refresh();
  block_.refresh();
}

// h' = W_eh·[norm(embedding); norm(hidden)].
void MtpModule::project(const Tensor& input, const Tensor& joined, const Tensor& hidden,
                        const Tensor& embedding) const {
  embedding_norm_.forward(joined.slice_last(0, hidden_size_), embedding);
  hidden_norm_.forward(joined.slice_last(hidden_size_, 2 * hidden_size_), hidden);
  linear_forward(input, joined, projection_);
}

void MtpModule::forward_cached(const Tensor& out, const Tensor& hidden, const Tensor& embedding,
                               const KvPages& pages, const Batch& batch, Arena& arena) const {
  const int64_t mark = arena.mark();
  const Tensor joined = arena.allocate(compute_, {out.rows(), 2 * hidden_size_});
  if (!arena.is_counting()) project(out, joined, hidden, embedding);
  block_.forward_cached(out, pages, batch, arena);
  arena.release(mark);
}

void MtpModule::forward(const Tensor& hidden, Activations& saved, const Block::Scratch& scratch,
                        const TokenRows& rows) const {
  const ProfilePart part("MTP");
  project(saved.input, saved.joined, hidden, saved.embedding);
  block_.forward(saved.input, saved.block, scratch, rows);
  head_norm_.forward(saved.normed, saved.block.output);
}

double MtpModule::backward(const Tensor& dx, const Tensor& dnormed, const Tensor& dhidden,
                           const Tensor& dembedding, const Tensor& hidden, const Activations& saved,
                           const Scratch& scratch, const Block::Scratch& block_scratch,
                           const TokenRows& rows, const BalanceOptions& balance) const {
  const ProfilePart part("MTP");
  head_norm_.backward(dx, dnormed, saved.block.output, true);
  const double balance_loss =
      block_.backward(dx, saved.input, saved.block, block_scratch, rows, balance);
  if (compute_ != DType::f32) convert(block_scratch.dy, dx);
  linear_backward(scratch.djoined, compute_ == DType::f32 ? dx : block_scratch.dy, saved.joined,
                  projection_);
  embedding_norm_.backward(dembedding, scratch.djoined.slice_last(0, hidden_size_), saved.embedding,
                           false);
  hidden_norm_.backward(dhidden, scratch.djoined.slice_last(hidden_size_, 2 * hidden_size_), hidden,
                        true);
  return balance_loss;
}

}  // namespace minke
