#include "layers/objective.h"

#include "kernels/loss.h"

namespace minke {
namespace {

Tensor vector_tensor(std::vector<float>& values) {
  return {values.data(), DType::f32, {static_cast<int64_t>(values.size())}};
}

}  // namespace

void CrossEntropy::compute(const LogitChunk& chunk) {
  cross_entropy(chunk.losses, chunk.dlogits, chunk.logits, chunk.targets, gradient_scale_,
                chunk.weights);
}

TargetLogProbability::TargetLogProbability(int64_t rows, double temperature, Function function)
    : temperature_(static_cast<float>(temperature)),
      function_(std::move(function)),
      log_probabilities_(static_cast<size_t>(rows)) {
  if (!(temperature > 0))
    fail_usage("log-probabilities at temperature {}; it must be above 0", temperature);
}

void TargetLogProbability::compute(const LogitChunk& chunk) {
  const size_t count = chunk.rows.size();
  std::vector<float> values(count), log_sums(count), slopes(count);
  scale_logits(chunk.logits, 1.0f / temperature_);
  target_log_probabilities({vector_tensor(values), vector_tensor(log_sums)}, chunk.logits,
                           chunk.targets);
  for (size_t i = 0; i < count; ++i) {
    const int32_t row = chunk.rows[i];
    log_probabilities_[row] = values[i];
    const TokenLoss token = function_ ? function_(row, values[i]) : TokenLoss{-values[i], 0};
    chunk.losses.as<float>()[i] = token.loss;
    slopes[i] = token.slope / temperature_;
  }
  if (chunk.dlogits)
    target_log_probabilities_backward(chunk.dlogits, chunk.logits, vector_tensor(log_sums),
                                      chunk.targets, vector_tensor(slopes));
}

ReverseKl::ReverseKl(double gradient_scale, double temperature, Teacher teacher)
    : gradient_scale_(static_cast<float>(gradient_scale / temperature)),
      inverse_temperature_(static_cast<float>(1.0 / temperature)),
      teacher_(std::move(teacher)) {
  if (!(temperature > 0))
    fail_usage("a divergence at temperature {}; it must be above 0", temperature);
}

void ReverseKl::compute(const LogitChunk& chunk) {
  const Tensor teacher = teacher_(chunk.rows);
  scale_logits(chunk.logits, inverse_temperature_);
  scale_logits(teacher, inverse_temperature_);
  reverse_kl(chunk.losses, chunk.dlogits, chunk.logits, teacher, gradient_scale_, chunk.weights);
}

}  // namespace minke
