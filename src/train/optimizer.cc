#include "train/optimizer.h"

#include <cmath>
#include <cstring>

#include "kernels/isa.h"
#include "kernels/optimizer.h"

namespace minke {

Optimizer::Optimizer(const OptimizerConfig& config, DType compute, const Weights& weights,
                     Arena& arena)
    : config_(config), weights_(weights.flat_weights()), gradients_(weights.flat_gradients()) {
  const DType moments = config.moment_dtype == "bf16" ? DType::bf16 : DType::f32;
  m_ = arena.allocate(moments, {weights_.size()});
  v_ = arena.allocate(moments, {weights_.size()});
  if (config.ema_decay > 0) {
    ema_ = arena.allocate(DType::f32, {weights_.size()});
    if (ema_.data) std::memcpy(ema_.data, weights_.data, static_cast<size_t>(ema_.bytes()));
  }
  std::vector<Muon::Matrix> matrices;
  for (const Parameter& parameter : weights.parameters()) {
    if (parameter.kind == ParameterKind::tied || parameter.kind == ParameterKind::buffer) continue;
    const int64_t begin = weights.offset(parameter.name), end = begin + parameter.size();
    if (config.kind == OptimizerKind::muon && parameter.kind == ParameterKind::matrix) {
      matrices.push_back({begin, parameter.shape[0], parameter.shape[1]});
      continue;
    }
    const bool undecayed = parameter.kind == ParameterKind::norm ||
                           parameter.kind == ParameterKind::bias ||
                           parameter.kind == ParameterKind::memory;
    const double decay = undecayed ? 0.0 : config.weight_decay;
    if (!adamw_.empty() && adamw_.back().end == begin && adamw_.back().weight_decay == decay)
      adamw_.back().end = end;
    else
      adamw_.push_back({begin, end, decay});
  }
  const DType products = has_bf16_products() ? compute : DType::f32;
  muon_ = Muon(config, products, std::move(matrices), arena);
}

void Optimizer::step(int64_t step, double factor, double gradient_scale) {
  const auto correction = [&](double beta) {
    return static_cast<float>(1.0 / (1.0 - std::pow(beta, static_cast<double>(step))));
  };
  for (const Segment& segment : adamw_) {
    const AdamwConstants constants{static_cast<float>(config_.learning_rate * factor),
                                   static_cast<float>(config_.beta1),
                                   static_cast<float>(config_.beta2),
                                   static_cast<float>(config_.epsilon),
                                   static_cast<float>(segment.weight_decay),
                                   correction(config_.beta1),
                                   correction(config_.beta2)};
    const auto part = [&](const Tensor& x) { return x.slice_rows(segment.begin, segment.end); };
    adamw_step(part(weights_), part(m_), part(v_), part(gradients_),
               static_cast<float>(gradient_scale), constants);
  }
  muon_.step(weights_, m_, gradients_, factor, static_cast<float>(gradient_scale));
  const float decay = static_cast<float>(config_.ema_decay);
  if (ema_) blend(ema_, decay, weights_, 1 - decay);
}

std::vector<std::pair<std::string, Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, Tensor>> parts = {{"m", m_}, {"v", v_}};
  if (ema_) parts.emplace_back("ema", ema_);
  return parts;
}

}  // namespace minke
