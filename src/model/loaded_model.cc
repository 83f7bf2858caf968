#include "model/loaded_model.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "base/machine.h"
#include "base/progress.h"
#include "base/random.h"
#include "base/threads.h"
#include "kernels/elementwise.h"

namespace minke {
namespace {

// Rows of a batch whose logits are wanted, one after the other.
Tensor gather_rows(const Tensor& hidden, std::span<const int32_t> rows, Arena& arena) {
  const Tensor chosen =
      arena.allocate(DType::f32, {static_cast<int64_t>(rows.size()), hidden.columns()});
  for (size_t i = 0; i < rows.size(); ++i)
    std::memcpy(chosen.row<float>(static_cast<int64_t>(i)), hidden.row<float>(rows[i]),
                static_cast<size_t>(hidden.columns()) * sizeof(float));
  return chosen;
}

}  // namespace

LoadedModel::LoadedModel(ModelSource source, const LoadOptions& options)
    : source_(std::make_unique<ModelSource>(std::move(source))), config_(source_->config()) {
  compute_ = options.compute.value_or(source_->dtype());
  build(*source_, options, source_->where());
}

LoadedModel::LoadedModel(const ModelConfig& config, const WeightSource& source,
                         const LoadOptions& options)
    : config_(config) {
  compute_ = options.compute.value_or(DType::bf16);
  build(source, options, "the model");
}

void LoadedModel::build(const WeightSource& source, const LoadOptions& options,
                        const std::string& name) {
  plan(source, options, name);
  arena_ = Arena(plan_.total());
  weights_ = std::make_unique<Weights>(config_, arena_, source);
  weights_->load();
  model_ = std::make_unique<Transformer>(config_, *weights_, arena_,
                                         inference_options(compute_, plan_, options));
  ProgressBar bar("packing weights");
  model_->refresh([&](double share) {
    if (!options.quiet && !plan_.map_weights) bar.show(share);
  });
  pools_ = model_->allocate_pages(arena_, plan_.pages);
  logits_ = arena_.allocate(DType::f32, {plan_.batch_logits, config_.vocab_size});
  if (!has_drafts()) return;
  draft_pool_ = model_->allocate_draft_pages(arena_, plan_.pages);
  hidden_ = arena_.allocate(DType::f32, {plan_.batch_tokens, config_.hidden_size});
}

void LoadedModel::plan(const WeightSource& source, const LoadOptions& options,
                       const std::string& name) {
  const int64_t granted = options.memory_bytes ? options.memory_bytes : machine().memory_bytes;
  plan_ = plan_within(config_, source, compute_, options, name, granted);
  if (!options.quiet)
    info("memory plan: {:.2f} GiB for {} with {} tokens of context, weights {}",
         gibibytes(plan_.total()), name, plan_.pages * page_tokens,
         plan_.map_weights ? "mapped from the file (packed ones would not fit), which is slower"
                           : "packed for the kernels");
  if (plan_.total() > granted)
    fail("{} needs {:.2f} GiB, {} {:.2f} GiB; {}", name, gibibytes(plan_.total()),
         options.memory_bytes ? "it may take" : "this machine grants", gibibytes(granted),
         what_would_fit(config_, source, compute_, options, granted));
}

bool LoadedModel::has_integer_weights() const {
  const auto matrix = weights_->stored("model.layers.0.self_attn.o_proj.weight");
  return is_integer(packing_of(matrix.format, compute_));
}

void LoadedModel::randomize_pages(uint64_t seed) {
  uint64_t stream = 0;
  for (const KvPages& pool : pools_)
    for (const Tensor& rows : {pool.k, pool.v}) {
      if (!rows.rank || rows.dtype == DType::i32) continue;
      const uint64_t first = ++stream << 32;
      parallel_for(rows.rows(), [&](int64_t row) {
        Random random(seed, first + static_cast<uint64_t>(row));
        const Tensor to = rows.slice_rows(row, row + 1);
        std::vector<float> values(static_cast<size_t>(to.size()));
        for (float& value : values) value = static_cast<float>(random.normal());
        Tensor from = to;
        from.data = reinterpret_cast<std::byte*>(values.data());
        from.dtype = DType::f32;
        convert(to, from);
      });
    }
}

const Tokenizer& LoadedModel::tokenizer() {
  require(source_ != nullptr, "a model in memory has no tokenizer of its own");
  if (!tokenizer_) tokenizer_.emplace(source_->tokenizer());
  return *tokenizer_;
}

// Positions follow from the segments; the arena holds them.
Batch LoadedModel::make_batch(std::span<const int32_t> tokens, std::vector<BatchSegment> segments) {
  const int64_t count = static_cast<int64_t>(tokens.size());
  require(count <= plan_.batch_tokens, "a batch of {} tokens, at most {} fit", count,
          plan_.batch_tokens);
  Batch batch{arena_.allocate(DType::i32, {count}), std::move(segments)};
  for (const BatchSegment& segment : batch.segments) {
    require(segment.keys() <= plan_.max_tokens, "{} tokens in a context of {}", segment.keys(),
            plan_.max_tokens);
    for (int64_t row = segment.row_begin; row < segment.row_end; ++row) {
      const int64_t position = segment.past + row - segment.row_begin;
      if (tokens[row] < 0 || tokens[row] >= config_.vocab_size)
        fail("token id {} at position {} is outside of the vocabulary of {}", tokens[row], position,
             config_.vocab_size);
      batch.positions.as<int32_t>()[row] = static_cast<int32_t>(position);
    }
  }
  return batch;
}

Tensor LoadedModel::take_logits(const Tensor& hidden, std::span<const int32_t> rows, bool draft) {
  const int64_t wanted = static_cast<int64_t>(rows.size());
  require(wanted <= plan_.batch_logits, "logits of {} rows, at most {} fit", wanted,
          plan_.batch_logits);
  if (has_drafts()) std::memcpy(hidden_.data, hidden.data, static_cast<size_t>(hidden.bytes()));
  const Tensor logits = logits_.slice_rows(0, wanted);
  if (wanted) model_->logits(logits, gather_rows(hidden, rows, arena_), draft, arena_);
  return logits;
}

Tensor LoadedModel::forward(std::span<const int32_t> tokens, std::vector<BatchSegment> segments,
                            std::span<const int32_t> logit_rows, std::span<const HiddenSum> sums) {
  const int64_t mark = arena_.mark();
  const Batch batch = make_batch(tokens, std::move(segments));
  const Tensor hidden = model_->forward_cached(tokens, batch, pools_, arena_);
  for (const HiddenSum& sum : sums)
    model_->add_normed(sum.sum, hidden.slice_rows(sum.row_begin, sum.row_end), arena_);
  const Tensor logits = take_logits(hidden, logit_rows, false);
  arena_.release(mark);
  return logits;
}

Tensor LoadedModel::draft(std::span<const int32_t> next_tokens, std::vector<BatchSegment> segments,
                          std::span<const int32_t> hidden_rows,
                          std::span<const int32_t> logit_rows) {
  require(has_drafts() && hidden_rows.size() == next_tokens.size(), "drafts of {} rows for {}",
          hidden_rows.size(), next_tokens.size());
  const int64_t mark = arena_.mark();
  const Batch batch = make_batch(next_tokens, std::move(segments));
  const Tensor hidden = gather_rows(hidden_, hidden_rows, arena_);
  const Tensor out = model_->forward_draft(next_tokens, hidden, batch, draft_pool_, arena_);
  const Tensor logits = take_logits(out, logit_rows, true);
  arena_.release(mark);
  return logits;
}

}  // namespace minke
