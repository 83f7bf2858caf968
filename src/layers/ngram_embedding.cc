#include "layers/ngram_embedding.h"

#include "base/profile.h"
#include "base/random.h"
#include "base/threads.h"
#include "kernels/blocks.h"
#include "kernels/elementwise.h"
#include "kernels/loss.h"
#include "kernels/row_ops.h"

namespace minke {
namespace {

constexpr int64_t tokens_of_task = 16;

}  // namespace

NgramEmbedding::NgramEmbedding(const LayerBuilder& builder)
    : table_rows_(builder.config.ngram_vocab_size), tables_(builder.config.max_ngram_size - 1) {
  const std::string name = "model.embed_ngrams.weight";
  if (builder.weights.stays_in_source()) {
    stored_ = builder.weights.stored(name);
  } else {
    weight_ = builder.weights.weight(name);
    gradient_ = builder.weights.gradient({name});
  }
}

// Part of the file format: another hash would look up other rows.
template <typename Token>
int32_t NgramEmbedding::row_of(int64_t n, Token&& token) const {
  uint64_t hash = static_cast<uint64_t>(n);
  for (int64_t back = n - 1; back >= 0; --back)
    hash = mix64(hash ^ static_cast<uint64_t>(static_cast<uint32_t>(token(back))));
  return static_cast<int32_t>((n - 2) * table_rows_ +
                              static_cast<int64_t>(hash % static_cast<uint64_t>(table_rows_)));
}

Tensor NgramEmbedding::allocate_rows(Arena& arena, int64_t tokens) const {
  return arena.allocate(DType::i32, {tokens, tables_});
}

void NgramEmbedding::find_rows(const Tensor& rows, const Tensor& ids,
                               const TokenRows& tokens) const {
  const int32_t* id = ids.as<int32_t>();
  for (int64_t t = 0; t < rows.rows(); ++t)
    for (int64_t n = 2; n < tables_ + 2; ++n)
      rows.row<int32_t>(t)[n - 2] = tokens.positions.as<int32_t>()[t] < n - 1
                                        ? -1
                                        : row_of(n, [&](int64_t back) { return id[t - back]; });
}

void NgramEmbedding::forward(const Tensor& x, const Tensor& rows) const {
  const ProfilePart part("embedding");
  const int64_t hidden = x.columns();
  parallel_ranges(x.rows(), tokens_of_task, [&](int64_t begin, int64_t end) {
    std::vector<float> read(static_cast<size_t>(stored_ ? hidden : 0));
    for (int64_t t = begin; t < end; ++t)
      for (int64_t i = 0; i < tables_; ++i) {
        const int64_t row = rows.row<int32_t>(t)[i];
        if (row < 0) continue;
        if (stored_) dequantize_rows(*stored_, row, row + 1, read.data());
        row_ops().add_scaled(x.row<float>(t), stored_ ? read.data() : weight_.row<float>(row), 1.0f,
                             hidden);
      }
  });
}

void NgramEmbedding::backward(const Tensor& dx, const Tensor& rows) const {
  const ProfilePart part("embedding");
  if (gradient_) embedding_backward(gradient_, dx, rows);
}

KvPages NgramEmbedding::allocate_pages(Arena& arena, int64_t pages) const {
  const KvPages ids{arena.allocate(DType::i32, {pages * page_tokens, 1}), Tensor()};
  if (!arena.is_counting()) clear(ids.k);
  return ids;
}

void NgramEmbedding::forward_cached(const Tensor& x, const Tensor& ids, const KvPages& pages,
                                    const Batch& batch, Arena& arena) const {
  const int64_t mark = arena.mark();
  const Tensor rows = allocate_rows(arena, x.rows());
  if (!arena.is_counting()) {
    store_rows(pages.k, ids, batch);
    for (const BatchSegment& segment : batch.segments)
      for (int64_t t = segment.row_begin; t < segment.row_end; ++t) {
        const int64_t position = segment.past + t - segment.row_begin;
        const auto token = [&](int64_t back) {
          const int64_t at = position - back;
          return pages.k
              .as<int32_t>()[segment.pages[at / page_tokens] * page_tokens + at % page_tokens];
        };
        for (int64_t n = 2; n < tables_ + 2; ++n)
          rows.row<int32_t>(t)[n - 2] = position < n - 1 ? -1 : row_of(n, token);
      }
    forward(x, rows);
  }
  arena.release(mark);
}

}  // namespace minke
