#pragma once
// infer/: from a model and a prompt to tokens. May include model/, layers/, kernels/, text/, plan/,
// tensor/, config/ and base/; never train/.
//
// This header: choosing a token from logits.

#include <cstdint>
#include <span>

#include "base/random.h"

namespace minke {

struct SamplingOptions {
  double temperature = 0.6;  // 0: greedy
  double top_p = 0.95;       // smallest set of most likely tokens with this probability
  uint64_t seed = 0;
};

// The chosen token; one draw of `random` unless greedy. Ties go to the lower id. Logits that are
// not numbers are an Error.
int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, Random& random);

}  // namespace minke
