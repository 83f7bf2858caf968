#include "bench/random_sequences.h"

#include <numeric>

#include "base/machine.h"

namespace minke {

RandomSequences::RandomSequences(const fs::path& path, const LoadOptions& options, int64_t batch)
    : start_(now_seconds()),
      model_(path, options),
      load_seconds_(now_seconds() - start_),
      batch_(batch) {
  assign_pages();
}

RandomSequences::RandomSequences(const ModelConfig& config, const WeightSource& source,
                                 const LoadOptions& options, int64_t batch)
    : start_(now_seconds()),
      model_(config, source, options),
      load_seconds_(now_seconds() - start_),
      batch_(batch) {
  assign_pages();
}

void RandomSequences::assign_pages() {
  const int64_t pages = model_.pages() / batch_;
  for (int64_t i = 0; i < batch_; ++i) {
    pages_.emplace_back(static_cast<size_t>(pages));
    std::iota(pages_.back().begin(), pages_.back().end(), static_cast<int32_t>(i * pages));
  }
  model_.randomize_pages(1);
}

double RandomSequences::forward(int64_t past, int64_t count, AttentionForm form) {
  return forward(std::vector<int64_t>(static_cast<size_t>(batch_), past), count, form, 1);
}

double RandomSequences::forward(const std::vector<int64_t>& past, int64_t count, AttentionForm form,
                                int64_t logits) {
  std::vector<int32_t> tokens(static_cast<size_t>(batch_ * count)), wanted;
  for (int32_t& token : tokens)
    token = static_cast<int32_t>(random_.below(static_cast<uint64_t>(model_.config().vocab_size)));
  std::vector<BatchSegment> segments;
  for (int64_t i = 0; i < batch_; ++i) {
    const int64_t end = (i + 1) * count;
    segments.push_back({i * count, end, past[i], pages_[i], form});
    for (int64_t row = end - logits; row < end; ++row) wanted.push_back(static_cast<int32_t>(row));
  }
  const double start = now_seconds();
  model_.forward(tokens, segments, wanted);
  if (logits > 1 && model_.has_drafts()) {
    std::vector<int32_t> rows(tokens.size());
    std::iota(rows.begin(), rows.end(), 0);
    model_.draft(tokens, segments, rows, wanted);
  }
  return now_seconds() - start;
}

}  // namespace minke
