#pragma once
// Log-probabilities of given tokens.

#include <functional>
#include <vector>

#include "model/loaded_model.h"

namespace minke {

struct Scores {
  std::vector<std::optional<double>> log_probabilities;  // nats, of each token; none for the first
  double nats = 0;                                       // −Σ
};

// Scores the tokens as one sequence, or, where they are more than the context holds, in windows
// that overlap by half, so that every later token sees at least half a context. on_logits, if
// given, gets each token's logits row (f32 [rows, vocab]) in order and allows one window only.
Scores score_tokens(LoadedModel& model, std::span<const int32_t> tokens,
                    const std::function<void(const Tensor& logits)>& on_logits = {});

}  // namespace minke
