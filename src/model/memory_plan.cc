#include "model/memory_plan.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "model/quantized_source.h"

namespace minke {
namespace {

// The largest forward pass of either form.
void count_forward(const Transformer& model, const MemoryPlan& plan, std::span<const KvPages> pools,
                   const KvPages& draft_pool, Arena& counting) {
  const int64_t hidden_size = model.config().hidden_size;
  const std::vector<int32_t> tokens(static_cast<size_t>(plan.batch_tokens));
  const int64_t past = std::max<int64_t>(0, plan.max_tokens - plan.batch_tokens);
  const int64_t mark = counting.mark();
  for (const AttentionForm form : {AttentionForm::expanded, AttentionForm::absorbed}) {
    const Batch batch{counting.allocate(DType::i32, {plan.batch_tokens}),
                      {{0, plan.batch_tokens, past, {}, form}}};
    const Tensor hidden = model.forward_cached(tokens, batch, pools, counting);
    counting.allocate(DType::f32,
                      {model.has_drafts() ? plan.batch_tokens : plan.batch_logits, hidden_size});
    model.logits(Tensor(), hidden.slice_rows(0, plan.batch_logits), false, counting);
    if (model.has_drafts()) {
      const Tensor out = model.forward_draft(tokens, hidden, batch, draft_pool, counting);
      counting.allocate(DType::f32, {plan.batch_logits, hidden_size});
      model.logits(Tensor(), out.slice_rows(0, plan.batch_logits), true, counting);
    }
    counting.release(mark);
  }
}

MemoryPlan plan_sizes(const ModelConfig& config, const LoadOptions& options,
                      const std::string& name) {
  MemoryPlan plan;
  const int64_t limit = config.max_position_embeddings;
  plan.max_tokens = options.max_tokens ? options.max_tokens : limit;
  if (plan.max_tokens > limit)
    fail_usage("{} tokens are asked for, but {} handles {} (max_position_embeddings)",
               plan.max_tokens, name, limit);
  const int64_t cached = options.cache_tokens ? options.cache_tokens : plan.max_tokens;
  plan.pages = (cached + page_tokens - 1) / page_tokens;
  plan.batch_tokens = std::min(options.batch_tokens, plan.pages * page_tokens);
  plan.batch_logits = std::min(options.batch_logits, plan.batch_tokens);
  return plan;
}

}  // namespace

int64_t MemoryPlan::cache_bytes_per_token() const { return cache / (pages * page_tokens); }

ModelOptions inference_options(DType compute, const MemoryPlan& plan, const LoadOptions& options) {
  return {compute, false, false, 1, plan.max_tokens, options.drafts, plan.map_weights};
}

MemoryPlan plan_memory(const ModelConfig& config, const WeightSource& source, DType compute,
                       const LoadOptions& options, const std::string& name, bool map_weights) {
  MemoryPlan plan = plan_sizes(config, options, name);
  plan.map_weights = map_weights;
  Arena counting = Arena::counting();
  const Weights weights(config, counting, source);
  const Transformer model(config, weights, counting, inference_options(compute, plan, options));
  plan.weights = counting.used();
  const std::vector<KvPages> pools = model.allocate_pages(counting, plan.pages);
  plan.cache = counting.used() - plan.weights;
  counting.allocate(DType::f32, {plan.batch_logits, config.vocab_size});
  KvPages draft_pool;
  if (model.has_drafts()) {
    draft_pool = model.allocate_draft_pages(counting, plan.pages);
    counting.allocate(DType::f32, {plan.batch_tokens, config.hidden_size});
  }
  count_forward(model, plan, pools, draft_pool, counting);
  plan.scratch = counting.high_water() - plan.weights - plan.cache;
  return plan;
}

MemoryPlan plan_within(const ModelConfig& config, const WeightSource& source, DType compute,
                       const LoadOptions& options, const std::string& name, int64_t bytes) {
  const MemoryPlan packed = plan_memory(config, source, compute, options, name);
  if (packed.total() <= bytes) return packed;
  const MemoryPlan mapped = plan_memory(config, source, compute, options, name, true);
  return mapped.total() <= bytes ? mapped : packed;
}

int64_t largest_context(const ModelConfig& config, const WeightSource& source, DType compute,
                        const LoadOptions& options, int64_t bytes) {
  const auto fits = [&](int64_t pages) {
    LoadOptions tried = options;
    tried.max_tokens = std::min(pages * page_tokens, config.max_position_embeddings);
    tried.cache_tokens = 0;
    return plan_within(config, source, compute, tried, source.where(), bytes).total() <= bytes;
  };
  int64_t fitting = 0;
  int64_t beyond = (config.max_position_embeddings + page_tokens - 1) / page_tokens + 1;
  while (beyond - fitting > 1) {
    const int64_t middle = fitting + (beyond - fitting) / 2;
    (fits(middle) ? fitting : beyond) = middle;
  }
  return std::min(fitting * page_tokens, config.max_position_embeddings);
}

std::optional<FittingType> fitting_quantization(const ModelConfig& config,
                                                const WeightSource& source, DType compute,
                                                const LoadOptions& options, int64_t bytes) {
  const int64_t now = plan_memory(config, source, compute, options, source.where()).total();
  for (const QuantizationType type :
       {QuantizationType::q8_0, QuantizationType::q4_k_m, QuantizationType::q4_0}) {
    const QuantizedSource quantized(config, source, type);
    const int64_t total = plan_memory(config, quantized, compute, options, source.where()).total();
    if (total <= bytes && total < now) return FittingType{type, total};
  }
  return std::nullopt;
}

std::string what_would_fit(const ModelConfig& config, const WeightSource& source, DType compute,
                           const LoadOptions& options, int64_t bytes) {
  std::string answer;
  if (const int64_t context = largest_context(config, source, compute, options, bytes))
    answer = fmt::format("a context of {} tokens fits", context);
  if (const auto fitting = fitting_quantization(config, source, compute, options, bytes))
    answer += fmt::format("{}after minke quantize --type {} it needs {:.2f} GiB",
                          answer.empty() ? "" : "; ", quantization_name(fitting->type),
                          gibibytes(fitting->bytes));
  return answer.empty() ? "neither a shorter context nor fewer bits would fit" : answer;
}

}  // namespace minke
