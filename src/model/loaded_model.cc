#include "model/loaded_model.h"

#include <algorithm>

#include "base/log.h"
#include "base/machine.h"

namespace minke {

LoadedModel::LoadedModel(const fs::path& path, const LoadOptions& options)
    : path_(resolve_model_directory(path)),
      stored_(inspect_model(path_)),
      compute_(options.compute.value_or(stored_.dtype)),
      capacity_(options.max_tokens ? options.max_tokens : stored_.config.max_position_embeddings),
      chunk_(std::min(options.chunk, capacity_)) {
  if (capacity_ > stored_.config.max_position_embeddings)
    fail_usage("{} tokens are asked for, but {} handles {} (max_position_embeddings)", capacity_,
               path_.string(), stored_.config.max_position_embeddings);
  const ModelOptions model_options{compute_, false, false, 1, 1, capacity_};
  plan(model_options);
  arena_ = Arena(planned_bytes_);
  weights_ = std::make_unique<Weights>(stored_.config, arena_, false);
  load_weights(path_, *weights_);
  model_ = std::make_unique<Transformer>(stored_.config, *weights_, arena_, model_options);
  model_->refresh();
  cache_ = model_->allocate_cache(arena_, capacity_);
  logits_ = arena_.allocate(DType::f32, {chunk_, stored_.config.vocab_size});
}

// The same allocations on a counting arena, with the largest forward pass of either form.
void LoadedModel::plan(const ModelOptions& options) {
  Arena counting = Arena::counting();
  const Weights weights(stored_.config, counting, false);
  const Transformer model(stored_.config, weights, counting, options);
  Transformer::Cache cache = model.allocate_cache(counting, capacity_);
  counting.allocate(DType::f32, {chunk_, stored_.config.vocab_size});
  cache.length = capacity_ - chunk_;
  const std::vector<int32_t> tokens(static_cast<size_t>(chunk_));
  for (const AttentionForm form : {AttentionForm::expanded, AttentionForm::absorbed}) {
    const int64_t mark = counting.mark();
    model.forward_cached(tokens, cache, form, counting);
    counting.release(mark);
  }
  planned_bytes_ = counting.high_water();
  info("memory plan: {:.2f} GiB for {} with {} tokens of context", planned_bytes_ / 1073741824.0,
       path_.string(), capacity_);
  if (planned_bytes_ > machine().memory_bytes)
    fail("{} needs {:.1f} GiB, this machine grants {:.1f} GiB; a shorter context needs less",
         path_.string(), planned_bytes_ / 1073741824.0, machine().memory_bytes / 1073741824.0);
}

const Tokenizer& LoadedModel::tokenizer() {
  if (!tokenizer_) tokenizer_.emplace(load_tokenizer(path_, stored_.config));
  return *tokenizer_;
}

Tensor LoadedModel::run_chunk(std::span<const int32_t> tokens, AttentionForm form) {
  const int64_t mark = arena_.mark(), count = static_cast<int64_t>(tokens.size());
  const Tensor logits = logits_.slice_rows(0, count);
  model_->logits(logits, model_->forward_cached(tokens, cache_, form, arena_));
  arena_.release(mark);
  return logits;
}

std::span<const float> LoadedModel::next_logits(std::span<const int32_t> tokens,
                                                AttentionForm form) {
  std::span<const float> last;
  run(tokens, form, [&](int64_t, const Tensor& logits) {
    last = {logits.row<float>(logits.rows() - 1), static_cast<size_t>(logits.columns())};
  });
  return last;
}

}  // namespace minke
