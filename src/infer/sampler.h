#pragma once
// infer/: from a model and prompts to tokens. May include model/, layers/, kernels/, text/, plan/,
// tensor/, config/ and base/; never train/.
//
// This header: choosing a token from logits.

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace minke {

struct SamplingOptions {
  double temperature = 0.6;       // 0: greedy
  int64_t top_k = 0;              // the k most likely tokens only; 0: all
  double top_p = 0.95;            // the smallest set of most likely tokens with this probability
  double min_p = 0;               // tokens at least this likely, against the most likely one
  double repetition_penalty = 1;  // of tokens in prompt or answer (Keskar et al. 2019, section 4.1)
  double presence_penalty = 0;    // subtracted for tokens in the answer
  double frequency_penalty = 0;   // subtracted for each time that a token is in the answer
  std::map<int32_t, double> logit_bias;
  uint64_t seed = 0;
};

// Throws a usage Error that names an option which is out of its range.
void check_sampling(const SamplingOptions& options, int64_t vocab_size);

// A bit for each token that may come next; token t is bit t % 64 of word t / 64.
using TokenMask = std::vector<uint64_t>;

// What a token was worth under the model, before temperature and filters.
struct TokenLogProbability {
  int32_t token;
  double log_probability;
};

// Chooses the tokens of one sequence. The choice at a position depends on the logits, the tokens so
// far, the seed and the position alone: not on what else runs, nor on how often a position was
// tried. Not thread-safe.
class Sampler {
 public:
  // Tokens of the prompt beyond the vocabulary count for no penalty.
  Sampler(const SamplingOptions& options, std::span<const int32_t> prompt, int64_t vocab_size);

  // The token at this position of the answer, counted from 0. Logits beyond the vocabulary's last
  // id are ignored. mask: tokens that may come; null: all. Logits that are not numbers, and a mask
  // that allows nothing, are Errors. Ties go to the lower id.
  int32_t choose(std::span<const float> logits, int64_t position, const TokenMask* mask);
  // Tells that the token was taken, for the penalties.
  void accept(int32_t token);

 private:
  void adjust(std::span<const float> logits, const TokenMask* mask);
  int32_t draw(int64_t position);

  SamplingOptions options_;
  size_t vocab_size_;
  std::map<int32_t, int64_t> in_answer_;
  std::map<int32_t, bool> seen_;  // in prompt or answer; filled if the repetition penalty needs it
  std::vector<float> logits_;     // adjusted; f32 [vocab]
  std::vector<int32_t> order_;
};

// The log-probability of `token`, and of the `count` most likely tokens, most likely first.
struct LogProbabilities {
  double chosen;
  std::vector<TokenLogProbability> top;
};
LogProbabilities log_probabilities(std::span<const float> logits, int32_t token, int64_t count);

}  // namespace minke
