#include <algorithm>

#include "config/parameters.h"
#include "plan/local_plan.h"

namespace minke {
namespace {

// Shares of the measured peak that Minke's own kernels reach (docs/plan.md tells how they were
// measured): products as `minke bench gemm` shows them, attention with its exponentials.
constexpr double matmul_share = 0.92, attention_share = 0.55;
// Muon works on one small matrix a thread and packs it anew for each product.
constexpr double muon_share = 0.8;

double peak_of(const TrainConfig& config, const LocalRates& rates) {
  const bool f32 = config.compute == ComputeDType::f32 || rates.bf16_flops <= 0;
  return f32 ? rates.f32_flops : rates.bf16_flops;
}

// Elements of the optimiser's arrays that one step passes over, in bytes.
double optimizer_bytes(const TrainConfig& config, double parameters) {
  const double moment = config.optimizer.moment_dtype == "bf16" ? 2 : 4;
  const double element = config.compute == ComputeDType::f32 ? 4 : 2;
  const double adamw = 4 + 2 * 4 + 2 * 2 * moment;  // gradient, weight, two moments
  const double clear_and_norm = 4 + 4;              // of the gradients
  const double pack = 2 * (4 + 2 * element);        // each weight twice, read and written
  const double ema = config.optimizer.ema_decay > 0 ? 12 : 0;
  return parameters * (adamw + clear_and_norm + pack + ema);
}

// Newton-Schulz: each step has X·Xᵀ, its square, and the product with X.
double muon_flops(const TrainConfig& config) {
  double flops = 0;
  for (const Parameter& parameter : list_parameters(config.model)) {
    if (parameter.kind != ParameterKind::matrix) continue;
    const auto r = static_cast<double>(std::min(parameter.shape[0], parameter.shape[1]));
    const auto c = static_cast<double>(std::max(parameter.shape[0], parameter.shape[1]));
    flops += static_cast<double>(config.optimizer.muon_steps) * (4 * r * r * c + 2 * r * r * r);
  }
  return flops;
}

// Bytes that one token's operations between products move, forward and backward: products' inputs
// and outputs are written once and read twice each way, the residual stream is f32.
double token_bytes(const LayerShape& layer, double element) {
  double elements = 0;
  for (const Product& product : layer.products)
    elements += static_cast<double>((product.in + product.out) * product.uses);
  return 6 * element * elements + 40 * static_cast<double>(layer.products.front().in);
}

}  // namespace

LocalStep local_step(const TrainConfig& config, const LocalRates& rates) {
  const ModelShape shape = shape_of(config.model);
  const double tokens = static_cast<double>(config.batch.sequences * config.data.sequence_length);
  const double keys = (static_cast<double>(config.data.sequence_length) + 1) / 2;
  const double peak = peak_of(config, rates);
  const double element = config.compute == ComputeDType::f32 ? 4 : 2;
  const double head = 2.0 * static_cast<double>(shape.head_parameters());
  double flops = 3 * head * static_cast<double>(1 + shape.mtp.size()), pairs = 0, bytes = 0;
  bytes += 10.0 * static_cast<double>(shape.vocab) * static_cast<double>(1 + shape.mtp.size());
  double f32_flops = 0;
  for (const auto* layers : {&shape.layers, &shape.mtp})
    for (const LayerShape& layer : *layers) {
      flops += 3 * layer.flops();
      for (const Product& product : layer.products) {
        if (product.part == "router") f32_flops += 3 * product.flops();
        if (config.recompute && product.part == "attention" && product.in < shape.hidden)
          flops += product.flops();
      }
      pairs += 3.5 * layer.pair_flops * keys;  // backward has five products to forward's two
      bytes += token_bytes(layer, element) * (config.recompute ? 1.1 : 1.0);
    }
  const double parameters = static_cast<double>(shape.parameters() + shape.mtp_parameters());
  LocalStep step;
  step.matmul = tokens * ((flops - f32_flops) / (peak * matmul_share) +
                          f32_flops / (rates.f32_flops * matmul_share));
  step.attention = tokens * pairs / (peak * attention_share);
  step.memory_bound = tokens * bytes / rates.memory_bytes;
  step.optimizer = optimizer_bytes(config, parameters) / rates.memory_bytes;
  if (config.optimizer.kind == OptimizerKind::muon)
    step.optimizer += muon_flops(config) / (peak * muon_share);
  for (double* part : {&step.matmul, &step.attention, &step.memory_bound, &step.optimizer})
    *part *= rates.factor;
  return step;
}

}  // namespace minke
