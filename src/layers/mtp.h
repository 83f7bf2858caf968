#pragma once
// One module of multi-token prediction (DeepSeek-V3 report, section 2.2): from the main model's
// hidden state at position i and the token after it, a block predicts one token further.
//   h' = W_eh·[norm(Emb(t_{i+k})); norm(h_i)], embedding half first as in the released weights;
//   h^k = block(h'), logits = head(norm(h^k)). Embedding and head are the main model's.
// The hidden state is the last block's output before the final norm.

#include "layers/block.h"

namespace minke {

class MtpModule {
 public:
  struct Activations {
    Tensor embedding;  // f32 [T, hidden]: Emb of the shifted tokens
    Tensor joined;     // [T, 2·hidden]
    Tensor input;      // f32 [T, hidden]: the block's input
    Block::Activations block;
    Tensor normed;  // [T, hidden]: for the head
  };
  struct Scratch {
    Tensor djoined;  // [T, 2·hidden]
  };

  // index: the layer id, num_hidden_layers + depth.
  MtpModule(const LayerBuilder& builder, int64_t index, const RotaryTable& rotary);

  const Block& block() const { return block_; }
  Activations allocate_activations(Arena& arena, int64_t tokens,
                                   const Block::Scratch& scratch) const;
  Scratch allocate_scratch(Arena& arena, int64_t tokens) const;
  void refresh() const;

  // hidden f32 [T, hidden]: the previous depth's output; saved.embedding is filled by the caller.
  // Writes saved.block.output and saved.normed.
  void forward(const Tensor& hidden, Activations& saved, const Block::Scratch& scratch,
               const TokenRows& rows) const;
  KvPages allocate_pages(Arena& arena, int64_t pages) const {
    return block_.allocate_pages(arena, pages);
  }
  // forward() for a batch of inference: out f32 [T, hidden] is the block's output. embedding f32
  // [T, hidden]: of the token after each row's.
  void forward_cached(const Tensor& out, const Tensor& hidden, const Tensor& embedding,
                      const KvPages& pages, const Batch& batch, Arena& arena) const;
  // What the head takes, of such rows.
  void norm(const Tensor& normed, const Tensor& out) const { head_norm_.forward(normed, out); }

  // dx f32 [T, hidden]: on entry the gradient of saved.block.output that deeper modules gave; it is
  // used up. dnormed: gradient of saved.normed. dhidden and dembedding (f32) are added to and
  // overwritten.
  double backward(const Tensor& dx, const Tensor& dnormed, const Tensor& dhidden,
                  const Tensor& dembedding, const Tensor& hidden, const Activations& saved,
                  const Scratch& scratch, const Block::Scratch& block_scratch,
                  const TokenRows& rows, const BalanceOptions& balance) const;

 private:
  void project(const Tensor& input, const Tensor& joined, const Tensor& hidden,
               const Tensor& embedding) const;

  DType compute_;
  int64_t hidden_size_;
  RmsNorm embedding_norm_, hidden_norm_, head_norm_;
  Linear projection_;
  Block block_;
};

}  // namespace minke
