#pragma once
// Embeddings of n-grams: what a token means after the ones before it, looked up instead of
// computed.
//   x_t += Σ_{n = 2 .. max_ngram_size} table_n[hash(id_{t−n+1}, …, id_t) mod ngram_vocab_size]
// n-grams that would begin before the sequence give nothing; different ones may share a row. It is
// the hashed memory of Engram (DeepSeek 2026, "Conditional Memory via Scalable Lookup", section 2)
// at the model's input, without its gate, convolution and heads. It costs no products, and of the
// tables a token reads max_ngram_size − 1 rows.

#include <optional>

#include "layers/kv_view.h"
#include "layers/linear.h"
#include "layers/token_rows.h"

namespace minke {

class NgramEmbedding {
 public:
  // The parameter model.embed_ngrams.weight: the tables, bigrams' first, one under the other.
  explicit NgramEmbedding(const LayerBuilder& builder);

  // Training: which rows of the tables the tokens look up, i32 [T, tables], −1 for none.
  Tensor allocate_rows(Arena& arena, int64_t tokens) const;
  // ids i32 [T] of the batch whose positions `tokens` has.
  void find_rows(const Tensor& rows, const Tensor& ids, const TokenRows& tokens) const;
  // x f32 [T, hidden] grows by the rows' vectors.
  void forward(const Tensor& x, const Tensor& rows) const;
  // The tables' gradient grows by dx's rows.
  void backward(const Tensor& dx, const Tensor& rows) const;

  // Inference: the ids of the tokens lie in pages as keys do (k: i32 [64·pages, 1]).
  KvPages allocate_pages(Arena& arena, int64_t pages) const;
  // Stores ids i32 [T, 1] in their pages; x f32 [T, hidden] grows by what they look up.
  void forward_cached(const Tensor& x, const Tensor& ids, const KvPages& pages, const Batch& batch,
                      Arena& arena) const;

 private:
  // The row of the n-gram that ends with token(0), whose earlier tokens are token(1), …
  template <typename Token>
  int32_t row_of(int64_t n, Token&& token) const;

  int64_t table_rows_, tables_;
  Tensor weight_, gradient_;            // f32 [tables·ngram_vocab_size, hidden]; training only
  std::optional<StoredMatrix> stored_;  // inference only
};

}  // namespace minke
