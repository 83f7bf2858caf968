#include "serve/engine_request.h"

#include <algorithm>
#include <mutex>
#include <random>

namespace minke {
namespace {

uint64_t random_number() {
  static std::mutex mutex;
  static std::random_device device;
  const std::lock_guard lock(mutex);
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

Request base_request(const TextRequest& body, const ServedModel& model) {
  Request request;
  SamplingOptions& sampling = request.sampling;
  sampling = model.sampling();
  sampling.temperature = body.temperature.value_or(sampling.temperature);
  sampling.top_p = body.top_p.value_or(sampling.top_p);
  sampling.min_p = body.min_p.value_or(sampling.min_p);
  sampling.top_k = std::max<int64_t>(0, body.top_k.value_or(sampling.top_k));
  sampling.presence_penalty = body.presence_penalty.value_or(0);
  sampling.frequency_penalty = body.frequency_penalty.value_or(0);
  sampling.repetition_penalty = body.repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.logit_bias = body.logit_bias;
  sampling.seed = body.seed ? static_cast<uint64_t>(*body.seed) : random_number();
  request.max_tokens = body.max_tokens.value_or(0);
  request.stop = body.stop;
  request.top_log_probabilities = body.top_logprobs;
  return request;
}

std::string new_id(const std::string& prefix) {
  return fmt::format("{}{:016x}{:08x}", prefix, random_number(), random_number() & 0xffffffff);
}

std::vector<ScoredToken> scored_tokens(const Tokenizer& tokenizer, std::span<const int32_t> tokens,
                                       const std::vector<LogProbabilities>& values) {
  // The embedding may have more rows than the vocabulary has tokens.
  const auto bytes = [&](int32_t token) {
    return token < tokenizer.vocab_size() ? std::string(tokenizer.token_bytes(token)) : "";
  };
  std::vector<ScoredToken> scored;
  for (size_t i = 0; i < values.size(); ++i) {
    ScoredToken& entry = scored.emplace_back();
    entry.text = bytes(tokens[i]);
    entry.log_probability = values[i].chosen;
    entry.in_text = !tokenizer.is_special(tokens[i]);
    for (const TokenLogProbability& top : values[i].top)
      entry.top.push_back({bytes(top.token), top.log_probability});
  }
  return scored;
}

}  // namespace minke
