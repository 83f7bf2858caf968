#pragma once
// Rollouts: answers that a model in training samples, by the engine, from the trainer's weights in
// memory.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "model/loaded_model.h"
#include "model/quantized_source.h"
#include "text/tokenizer.h"

namespace minke {

struct RolloutOptions {
  int64_t max_prompt_tokens = 64, max_answer_tokens = 64;
  int64_t sequences = 128;  // answers that grow at once
  // Attention computed as the trainer computes it, so that log-probabilities have the trainer's
  // bits; otherwise generated tokens are computed absorbed, which is faster and differs by
  // rounding.
  bool exact = true;
  std::string stop{};        // text that ends it, if not empty; its tokens are trained
  bool ignore_eos = false;   // answers end by their length alone, for measurements
  int64_t memory_bytes = 0;  // that it may take; 0: what this machine grants
  // The weights that it samples with are the given ones in so few bits.
  std::optional<QuantizationType> quantization{};
};

struct RolloutRequest {
  std::span<const int32_t> prompt;         // at least one token; read until sample() returns
  uint64_t seed = 0;                       // the same seed gives the same answer
  std::span<const int32_t> stop_tokens{};  // that end it, beside the tokenizer's EOS; as `prompt`
};

struct Answer {
  std::vector<int32_t> tokens;  // the one that ended it included
  // log π of each, under the distribution that it was sampled from; at temperature 0 that of
  // temperature 1.
  std::vector<float> log_probabilities;
  std::string text;        // without what ended it
  bool truncated = false;  // it ended by the limit of tokens

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
};

// An answer to be scored; at least one token each.
struct GivenAnswer {
  std::span<const int32_t> prompt, answer;

  // The last token is predicted only.
  int64_t rows() const { return static_cast<int64_t>(prompt.size() + answer.size()) - 1; }
};

// Given answers as one forward pass, expanded, whose logits are wanted where an answer's tokens are
// predicted.
struct AnswerPass {
  // pages: of the model that computes it; answers that take more are an Error.
  AnswerPass(std::span<const GivenAnswer> answers, int64_t pages);

  std::vector<int32_t> tokens, logit_rows;
  std::vector<BatchSegment> segments;

 private:
  std::vector<int32_t> pages_;  // what the segments point to
};
int64_t pages_of(int64_t tokens);

// Samples from weights that someone else trains. Not thread-safe; parallel inside. The weights, the
// model's source and the tokenizer must outlive it.
class Rollout {
 public:
  // compute: the trainer's, for exact rollouts.
  Rollout(const ModelConfig& config, const WeightSource& weights, DType compute,
          const Tokenizer& tokenizer, const RolloutOptions& options);

  // Takes the weights as they are now. Keys remembered of earlier weights are never used: each
  // sample() starts without any.
  void refresh();

  // Quantised weights included.
  int64_t planned_bytes() const;

  // An answer for each request, in their order. An answer that the engine ends with an error is an
  // Error. temperature 0: greedy.
  std::vector<Answer> sample(std::span<const RolloutRequest> requests, double temperature);

  // log π of every token of given answers at the temperature (not 0), attention expanded: the
  // trainer's bits. Not with quantised weights.
  std::vector<std::vector<float>> score(const std::vector<GivenAnswer>& answers,
                                        double temperature);

 private:
  Request request_for(const RolloutRequest& wanted, double temperature, Answer& answer);
  size_t batch_end(const std::vector<GivenAnswer>& answers, size_t first) const;
  void score_batch(std::span<const GivenAnswer> answers, double temperature,
                   std::vector<float>* scores);

  const Tokenizer& tokenizer_;
  RolloutOptions options_;
  std::unique_ptr<QuantizedSource> quantized_;
  LoadedModel model_;
};

// log softmax(logits / temperature)[token] by the training loss's arithmetic.
float token_log_probability(std::span<const float> logits, int32_t token, double temperature);

}  // namespace minke
