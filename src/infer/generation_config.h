#pragma once
// How a model's makers want it to be sampled.

#include "infer/sampler.h"
#include "model/model_source.h"

namespace minke {

// temperature, top_p, top_k, repetition_penalty and do_sample of generation_config.json beside the
// model; what it does not say, and every model in a GGUF file, is as DeepSeek recommends for R1:
// temperature 0.6, top-p 0.95.
SamplingOptions recommended_sampling(const ModelSource& source);

}  // namespace minke
