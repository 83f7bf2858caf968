#pragma once
// How a model's makers want it to be sampled.

#include "infer/sampler.h"
#include "model/model_source.h"

namespace minke {

// temperature, top_p, top_k, min_p, repetition_penalty and do_sample of the model's
// generation_config(); what it does not say is as DeepSeek recommends for R1: temperature 0.6,
// top-p 0.95.
SamplingOptions recommended_sampling(const ModelSource& source);

}  // namespace minke
