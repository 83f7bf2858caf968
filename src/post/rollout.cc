#include "post/rollout.h"

#include <algorithm>
#include <numeric>

#include "base/machine.h"
#include "kernels/loss.h"

namespace minke {
namespace {

constexpr int64_t scored_rows = 512;  // of one forward pass of score()

int64_t granted_bytes(const RolloutOptions& options) {
  return options.memory_bytes ? options.memory_bytes : machine().memory_bytes;
}

std::unique_ptr<QuantizedSource> quantized(ModelConfig config, const WeightSource& weights,
                                           const RolloutOptions& options) {
  if (!options.quantization) return nullptr;
  config.num_nextn_predict_layers = 0;  // rollouts run no MTP module
  auto source = std::make_unique<QuantizedSource>(config, weights, *options.quantization);
  if (source->bytes() >= granted_bytes(options))
    fail("the rollouts' quantised weights need {:.2f} GiB, this machine grants {:.2f} GiB",
         gibibytes(source->bytes()), gibibytes(granted_bytes(options)));
  source->refresh();
  return source;
}

LoadOptions load_options(DType compute, const RolloutOptions& options, int64_t quantized_bytes) {
  LoadOptions load;
  load.compute = compute;
  load.max_tokens = options.max_prompt_tokens + options.max_answer_tokens;
  load.cache_tokens = options.sequences * (pages_of(load.max_tokens) + 1) * page_tokens;
  load.batch_tokens = std::max({options.sequences, scored_rows, load.max_tokens});
  load.batch_logits = load.batch_tokens;
  load.quiet = true;
  load.memory_bytes = granted_bytes(options) - quantized_bytes;
  return load;
}

}  // namespace

int64_t pages_of(int64_t tokens) { return (tokens + page_tokens - 1) / page_tokens; }

AnswerPass::AnswerPass(std::span<const GivenAnswer> answers, int64_t pages)
    : pages_(static_cast<size_t>(pages)) {
  std::iota(pages_.begin(), pages_.end(), 0);
  std::span<const int32_t> free(pages_);
  for (const GivenAnswer& given : answers) {
    const int64_t begin = static_cast<int64_t>(tokens.size()), rows = given.rows();
    const size_t needed = static_cast<size_t>(pages_of(rows));
    require(needed <= free.size(), "answers of more than {} pages in one pass", pages);
    tokens.insert(tokens.end(), given.prompt.begin(), given.prompt.end());
    tokens.insert(tokens.end(), given.answer.begin(), given.answer.end() - 1);
    for (int64_t r = static_cast<int64_t>(given.prompt.size()) - 1; r < rows; ++r)
      logit_rows.push_back(static_cast<int32_t>(begin + r));
    segments.push_back({begin, begin + rows, 0, free, AttentionForm::expanded});
    free = free.subspan(needed);
  }
}

float token_log_probability(std::span<const float> logits, int32_t token, double temperature) {
  std::vector<float> scaled;
  const float factor = 1.0f / static_cast<float>(temperature);
  if (factor != 1.0f) {
    scaled.assign(logits.begin(), logits.end());
    for (float& x : scaled) x *= factor;
    logits = scaled;
  }
  float log_probability = 0.0f, log_sum = 0.0f;
  const auto scalar = [](float& x) { return Tensor(&x, DType::f32, {1}); };
  const int64_t vocab = static_cast<int64_t>(logits.size());
  target_log_probabilities({scalar(log_probability), scalar(log_sum)},
                           Tensor(const_cast<float*>(logits.data()), DType::f32, {1, vocab}),
                           Tensor(&token, DType::i32, {1}));
  return log_probability;
}

Rollout::Rollout(const ModelConfig& config, const WeightSource& weights, DType compute,
                 const Tokenizer& tokenizer, const RolloutOptions& options)
    : tokenizer_(tokenizer),
      options_(options),
      quantized_(quantized(config, weights, options)),
      model_(config, quantized_ ? *quantized_ : weights,
             load_options(compute, options, quantized_ ? quantized_->bytes() : 0)) {}

void Rollout::refresh() {
  if (quantized_) quantized_->refresh();
  model_.refresh();
}

int64_t Rollout::planned_bytes() const {
  return model_.planned_bytes() + (quantized_ ? quantized_->bytes() : 0);
}

Request Rollout::request_for(const RolloutRequest& wanted, double temperature, Answer& answer) {
  Request request;
  request.prompt.assign(wanted.prompt.begin(), wanted.prompt.end());
  request.sampling.temperature = temperature;
  request.sampling.top_p = 1.0;
  request.sampling.seed = wanted.seed;
  request.max_tokens = options_.max_answer_tokens;
  request.stop_tokens.assign(wanted.stop_tokens.begin(), wanted.stop_tokens.end());
  request.ignore_eos = options_.ignore_eos;
  if (!options_.stop.empty()) request.stop = {options_.stop};
  request.skip_special = false;
  const double scale = temperature > 0 ? temperature : 1.0;
  request.on_choice = [&answer, scale](std::span<const float> logits, int32_t token) {
    answer.tokens.push_back(token);
    answer.log_probabilities.push_back(token_log_probability(logits, token, scale));
  };
  request.on_tokens = [&answer](const TokenEvent& event) {
    answer.text += event.text;
    answer.truncated = event.finish == FinishReason::length;
    if (event.finish == FinishReason::error) fail("a rollout failed: {}", event.error);
  };
  return request;
}

std::vector<Answer> Rollout::sample(std::span<const RolloutRequest> requests, double temperature) {
  EngineOptions options;
  options.attention = options_.exact ? AttentionMode::expanded : AttentionMode::mixed;
  options.max_sequences = options_.sequences;
  Engine engine(model_, tokenizer_, options);  // a new one remembers no keys of earlier weights
  std::vector<Answer> answers(requests.size());
  for (size_t i = 0; i < requests.size(); ++i)
    engine.submit(request_for(requests[i], temperature, answers[i]));
  while (engine.step()) continue;
  return answers;
}

// As many answers as one pass holds, from `first` on; at least one.
size_t Rollout::batch_end(const std::vector<GivenAnswer>& answers, size_t first) const {
  int64_t rows = 0, pages = 0;
  size_t end = first;
  for (; end < answers.size(); ++end) {
    rows += answers[end].rows();
    pages += pages_of(answers[end].rows());
    if (end > first && (rows > model_.batch_tokens() || pages > model_.pages())) break;
  }
  return end;
}

std::vector<std::vector<float>> Rollout::score(const std::vector<GivenAnswer>& answers,
                                               double temperature) {
  require(!quantized_, "quantised weights do not score");
  std::vector<std::vector<float>> scores(answers.size());
  for (size_t first = 0; first < answers.size();) {
    const size_t end = batch_end(answers, first);
    score_batch({answers.begin() + first, answers.begin() + end}, temperature, &scores[first]);
    first = end;
  }
  return scores;
}

void Rollout::score_batch(std::span<const GivenAnswer> answers, double temperature,
                          std::vector<float>* scores) {
  AnswerPass pass(answers, model_.pages());
  const Tensor logits = model_.forward(pass.tokens, pass.segments, pass.logit_rows);
  int64_t row = 0;
  for (const GivenAnswer& given : answers) {
    for (const int32_t token : given.answer)
      scores->push_back(token_log_probability(
          {logits.row<float>(row++), static_cast<size_t>(logits.columns())}, token, temperature));
    ++scores;
  }
}

}  // namespace minke
