#include "model/score.h"

#include <algorithm>
#include <numeric>

#include "kernels/loss.h"

namespace minke {
namespace {

// Runs one sequence in chunks through the first pages; rows(first, logits) for each chunk.
template <typename Rows>
void run_prompt(LoadedModel& model, std::span<const int32_t> tokens, Rows&& rows) {
  std::vector<int32_t> pages(static_cast<size_t>(model.pages()));
  std::iota(pages.begin(), pages.end(), 0);
  const int64_t count = static_cast<int64_t>(tokens.size());
  for (int64_t begin = 0; begin < count; begin += model.batch_logits()) {
    const int64_t chunk = std::min(count - begin, model.batch_logits());
    std::vector<int32_t> all(static_cast<size_t>(chunk));
    std::iota(all.begin(), all.end(), 0);
    const BatchSegment segment{0, chunk, begin, pages, AttentionForm::expanded};
    rows(begin, model.forward(tokens.subspan(begin, chunk), {segment}, all));
  }
}

}  // namespace

Scores score_tokens(LoadedModel& model, std::span<const int32_t> tokens,
                    const std::function<void(const Tensor& logits)>& on_logits) {
  const int64_t count = static_cast<int64_t>(tokens.size()), context = model.max_tokens();
  if (on_logits && count > context)
    fail_usage(
        "{} tokens, but the model's context holds {}; logits are written for one context only",
        count, context);
  Scores scores;
  scores.log_probabilities.resize(tokens.size());
  const auto score_rows = [&](int64_t first, const Tensor& logits) {
    const int64_t rows = logits.rows();
    std::vector<int32_t> targets(static_cast<size_t>(rows), -1);
    std::vector<float> losses(static_cast<size_t>(rows));
    for (int64_t i = 0; i < rows && first + i + 1 < count; ++i) targets[i] = tokens[first + i + 1];
    cross_entropy(Tensor(losses.data(), DType::f32, {rows}), Tensor(), logits,
                  Tensor(targets.data(), DType::i32, {rows}), 0.0f);
    for (int64_t i = 0; i < rows && first + i + 1 < count; ++i)
      if (!scores.log_probabilities[first + i + 1])
        scores.log_probabilities[first + i + 1] = -losses[i];
    if (on_logits) on_logits(logits);
  };
  for (int64_t begin = 0;; begin += std::max<int64_t>(1, context / 2)) {
    const int64_t end = std::min(count, begin + context);
    run_prompt(model, tokens.subspan(begin, end - begin),
               [&](int64_t first, const Tensor& logits) { score_rows(begin + first, logits); });
    if (end == count) break;
  }
  for (const auto& value : scores.log_probabilities) scores.nats -= value.value_or(0.0);
  return scores;
}

}  // namespace minke
