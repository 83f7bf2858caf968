#pragma once
// One prompt to one continuation. Prompt tokens run expanded, generated ones absorbed (see
// layers/mla.h).

#include <functional>
#include <string>

#include "infer/sampler.h"
#include "model/loaded_model.h"

namespace minke {

struct GenerationOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 128;
};

struct Generation {
  std::vector<int32_t> tokens;
  std::string finish_reason;  // "stop": the model ended its text; "length"
  double prompt_seconds = 0;
  double generation_seconds = 0;
};

// Calls on_token for each token as it comes. prompt: at least one token; prompt and max_tokens must
// fit into the model's capacity.
Generation generate(LoadedModel& model, std::span<const int32_t> prompt,
                    const GenerationOptions& options,
                    const std::function<void(int32_t token)>& on_token);

}  // namespace minke
