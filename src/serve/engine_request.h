#pragma once
// What all requests for text have in common: their sampling, their names, their log-probabilities.

#include "api/request.h"
#include "api/response.h"
#include "infer/engine.h"
#include "serve/served_model.h"

namespace minke {

// Sampling and limits that a request asks for, on top of what the model's makers recommend. Without
// a seed each request gets another one.
Request base_request(const TextRequest& body, const ServedModel& model);

// A name that no other answer has: prefix and 24 digits.
std::string new_id(const std::string& prefix);
// Tokens of an event with their texts.
std::vector<ScoredToken> scored_tokens(const Tokenizer& tokenizer, std::span<const int32_t> tokens,
                                       const std::vector<LogProbabilities>& values);

}  // namespace minke
