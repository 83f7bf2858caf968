#pragma once
// A model with sequences of random tokens, for measurements.

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "model/loaded_model.h"

namespace minke {

// Not thread-safe; parallel inside.
class RandomSequences {
 public:
  // options: with room in the cache for `batch` sequences. The pages are filled with random
  // numbers.
  RandomSequences(const fs::path& path, const LoadOptions& options, int64_t batch);
  // Of a model in memory; `source` must outlive it.
  RandomSequences(const ModelConfig& config, const WeightSource& source, const LoadOptions& options,
                  int64_t batch);

  LoadedModel& model() { return model_; }
  double load_seconds() const { return load_seconds_; }

  // One forward pass: `count` tokens of every sequence after `past`; logits of the last. Returns
  // seconds.
  double forward(int64_t past, int64_t count, AttentionForm form);
  // The same for sequences of different lengths, and the logits of the last so many tokens of each;
  // with drafts, where the model has them and more than one is wanted.
  double forward(const std::vector<int64_t>& past, int64_t count, AttentionForm form,
                 int64_t logits);

 private:
  void assign_pages();

  double start_;
  LoadedModel model_;
  double load_seconds_;
  int64_t batch_;
  std::vector<std::vector<int32_t>> pages_;  // of each sequence
  Random random_{1};
};

}  // namespace minke
