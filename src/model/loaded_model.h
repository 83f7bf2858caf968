#pragma once
// A model read from disk and ready for inference, with its tokenizer.

#include <memory>
#include <optional>

#include "base/files.h"
#include "model/checkpoint.h"
#include "model/transformer.h"
#include "text/tokenizer.h"

namespace minke {

// What a caller may ask of a loaded model.
struct LoadOptions {
  std::optional<DType> compute;  // nothing: the dtype that the files have
  int64_t max_tokens = 0;        // positions that the cache must hold; 0: the model's limit
  int64_t chunk = 256;           // tokens of one forward pass at most
};

// Owns weights, packed matrices, one sequence's cache and scratch. Movable; not thread-safe.
class LoadedModel {
 public:
  // path: a Hugging Face directory, or a run's folder, which stands for its newest checkpoint.
  // Tells the memory plan before it loads and refuses what this machine cannot hold.
  LoadedModel(const fs::path& path, const LoadOptions& options);

  const ModelConfig& config() const { return stored_.config; }
  DType compute() const { return compute_; }
  int64_t capacity() const { return capacity_; }  // positions in the cache
  int64_t chunk() const { return chunk_; }
  int64_t cached() const { return cache_.length; }
  int64_t planned_bytes() const { return planned_bytes_; }

  // The tokenizer beside the model; an Error if there is none.
  const Tokenizer& tokenizer();

  // Forgets the sequence.
  void clear() { cache_.length = 0; }
  // Runs tokens that follow what is cached, in chunks, prompt tokens expanded and generated ones
  // absorbed as the caller says. For each chunk calls rows(first, logits), logits f32 [chunk,
  // vocab].
  template <typename Rows>
  void run(std::span<const int32_t> tokens, AttentionForm form, Rows&& rows) {
    for (size_t begin = 0; begin < tokens.size(); begin += static_cast<size_t>(chunk_))
      rows(static_cast<int64_t>(begin),
           run_chunk(tokens.subspan(begin, std::min(tokens.size() - begin, size_t(chunk_))), form));
  }
  // The logits after the last of these tokens, f32 [vocab]; valid until the next call.
  std::span<const float> next_logits(std::span<const int32_t> tokens, AttentionForm form);

 private:
  Tensor run_chunk(std::span<const int32_t> tokens, AttentionForm form);
  void plan(const ModelOptions& options);

  fs::path path_;
  StoredModel stored_;
  DType compute_;
  int64_t capacity_, chunk_, planned_bytes_ = 0;
  Arena arena_ = Arena::counting();
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<Transformer> model_;
  Transformer::Cache cache_;
  Tensor logits_;  // f32 [chunk, vocab]
  std::optional<Tokenizer> tokenizer_;
};

}  // namespace minke
