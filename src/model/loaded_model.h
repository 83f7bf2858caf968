#pragma once
// A model read from disk and ready for inference, with its pages and its tokenizer.

#include <memory>
#include <optional>

#include "model/memory_plan.h"
#include "model/model_source.h"
#include "model/transformer.h"

namespace minke {

// Rows of a batch whose hidden states, as the last norm leaves them, are added to `sum` [hidden] in
// their order.
struct HiddenSum {
  int64_t row_begin, row_end;
  std::span<double> sum;
};

// Owns weights, packed matrices, pages and scratch. Not thread-safe; parallel inside.
class LoadedModel {
 public:
  // path: see ModelSource::open(). Tells the memory plan before it loads and refuses what this
  // machine cannot hold, saying what would fit.
  LoadedModel(const fs::path& path, const LoadOptions& options)
      : LoadedModel(ModelSource::open(path), options) {}
  LoadedModel(ModelSource source, const LoadOptions& options);
  // A model whose weights are in memory already, such as a trainer's; `source` must outlive it.
  LoadedModel(const ModelConfig& config, const WeightSource& source, const LoadOptions& options);

  const ModelConfig& config() const { return config_; }
  DType compute() const { return compute_; }
  int64_t max_tokens() const { return plan_.max_tokens; }
  int64_t pages() const { return plan_.pages; }
  int64_t batch_tokens() const { return plan_.batch_tokens; }
  int64_t batch_logits() const { return plan_.batch_logits; }
  int64_t planned_bytes() const { return plan_.total(); }
  bool has_mapped_weights() const { return plan_.map_weights; }
  // The tokenizer beside the model; an Error if there is none.
  const Tokenizer& tokenizer();

  // Bytes that the pages keep for each token, all layers together.
  int64_t cache_bytes_per_token() const { return plan_.cache_bytes_per_token(); }
  // Whether products with the blocks' matrices round activations to integers.
  bool has_integer_weights() const;
  // Fills the pages with normal random numbers: a context for measurements.
  void randomize_pages(uint64_t seed);

  // Takes the source's weights anew, after they have changed. What the pages hold is then stale.
  void refresh() {
    weights_->load();
    model_->refresh();
  }

  // One forward pass: `tokens` are the rows of the segments. Returns the logits of some rows, f32
  // [logit_rows, vocab], valid until the next call.
  Tensor forward(std::span<const int32_t> tokens, std::vector<BatchSegment> segments,
                 std::span<const int32_t> logit_rows, std::span<const HiddenSum> sums = {});

  // Whether draft() can be had: the model was loaded with drafts and has an MTP module.
  bool has_drafts() const { return model_->has_drafts(); }
  // One pass of the MTP module: `hidden_rows` says which row of the last call (of forward() or of
  // this) each row goes on from, next_tokens the token after that row's. Returns logits of the
  // token after those.
  Tensor draft(std::span<const int32_t> next_tokens, std::vector<BatchSegment> segments,
               std::span<const int32_t> hidden_rows, std::span<const int32_t> logit_rows);

 private:
  void build(const WeightSource& source, const LoadOptions& options, const std::string& name);
  void plan(const WeightSource& source, const LoadOptions& options, const std::string& name);
  Batch make_batch(std::span<const int32_t> tokens, std::vector<BatchSegment> segments);
  Tensor take_logits(const Tensor& hidden, std::span<const int32_t> rows, bool draft);

  std::unique_ptr<ModelSource> source_;  // of a model from disk
  ModelConfig config_;
  DType compute_ = DType::bf16;
  MemoryPlan plan_;
  Arena arena_ = Arena::counting();
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<Transformer> model_;
  std::vector<KvPages> pools_;
  KvPages draft_pool_;
  Tensor logits_;  // f32 [batch_logits, vocab]
  Tensor hidden_;  // f32 [batch_tokens, hidden]: of the last call; with drafts only
  std::optional<Tokenizer> tokenizer_;
};

}  // namespace minke
