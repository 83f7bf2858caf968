#include "plan/roofline.h"

#include <algorithm>
#include <cmath>

namespace minke {
namespace {

constexpr double tera = 1e12, giga = 1e9;

// Bytes that the operations around one product move for one row: forward and backward.
struct Traffic {
  double forward, backward;
};

Traffic product_traffic(double in, double out, double element) {
  // Forward: x is read as bf16 and written for the product, y is read. Backward: dy is read and
  // written twice, x is read and written again along the other axis, dx is read.
  return {in * (2 + element) + out * 2, out * (2 + 2 * element) + in * (2 * element + 2)};
}

bool is_recomputed(const Product& product, int64_t hidden) {
  return product.part == "attention" && product.in < hidden && product.out != hidden;
}

// One product of a layer for the tokens of a micro-batch.
LayerSeconds training_product(const Product& product, int64_t hidden, const Device& device,
                              const TrainingShare& share) {
  const auto in = static_cast<double>(product.in), out = static_cast<double>(product.out);
  const double matrices =
      product.routed() ? static_cast<double>(product.copies) / share.expert_parallel : 1.0;
  const double rows = share.tokens * static_cast<double>(product.uses);
  LayerSeconds seconds;
  seconds.forward = device.product_seconds(rows, in, out, matrices);
  seconds.backward_input = device.product_seconds(rows, out, in, matrices);
  if (share.recompute && is_recomputed(product, hidden)) seconds.backward_input += seconds.forward;
  // dW [out, in] of each matrix sums over its rows, into f32.
  seconds.backward_weight = device.product_seconds(out * matrices, rows / matrices, in, matrices) +
                            8 * in * out * matrices / device.memory_rate();
  return seconds;
}

}  // namespace

double Device::bf16_peak() const {
  const MachineSpec& spec = machine.spec;
  return std::max(spec.bf16_tflops, spec.f32_tflops) * tera;
}

double Device::peak() const {
  return precision == Precision::fp8 ? machine.spec.fp8_tflops * tera : bf16_peak();
}

double Device::memory_rate() const {
  return machine.spec.memory_gbps * giga * machine.efficiency.memory;
}

double Device::product_seconds(double rows, double in, double out, double matrices) const {
  const Efficiency& e = machine.efficiency;
  const double arithmetic =
      2 * rows * in * out / (peak() * e.matmul * units) * (1 + e.matmul_half / in);
  const double bytes = element_bytes() * (rows * in + matrices * in * out) + 2 * rows * out;
  return std::max(arithmetic, bytes / memory_rate());
}

LayerSeconds layer_seconds(const LayerShape& layer, const Device& device,
                           const TrainingShare& share) {
  LayerSeconds seconds;
  const int64_t hidden = layer.products.front().in;
  const double rate = device.memory_rate();
  double forward_bytes = 12 * static_cast<double>(hidden) * share.tokens;
  double backward_bytes = 2 * forward_bytes;
  for (const Product& product : layer.products) {
    const LayerSeconds own = training_product(product, hidden, device, share);
    seconds.forward += own.forward;
    seconds.backward_input += own.backward_input;
    seconds.backward_weight += own.backward_weight;
    const Traffic traffic = product_traffic(
        static_cast<double>(product.in), static_cast<double>(product.out), device.element_bytes());
    const double rows = share.tokens * static_cast<double>(product.uses);
    forward_bytes += rows * traffic.forward;
    backward_bytes += rows * traffic.backward;
  }
  const double pairs = share.tokens * (static_cast<double>(share.sequence_length) + 1) / 2;
  const double bf16 = device.bf16_peak() * device.units;
  const Efficiency& e = device.machine.efficiency;
  // Backward has five products where forward has two, as scores are computed again.
  seconds.forward += pairs * layer.pair_flops / (bf16 * e.attention_forward) + forward_bytes / rate;
  seconds.backward_input +=
      2.5 * pairs * layer.pair_flops / (bf16 * e.attention_backward) + backward_bytes / rate;
  return seconds;
}

LayerSeconds head_seconds(const ModelShape& shape, const Device& device, double tokens) {
  Device bf16 = device;
  bf16.precision = Precision::bf16;
  const auto hidden = static_cast<double>(shape.hidden), vocab = static_cast<double>(shape.vocab);
  LayerSeconds seconds;
  seconds.forward =
      bf16.product_seconds(tokens, hidden, vocab) + 4 * tokens * vocab / bf16.memory_rate();
  seconds.backward_input =
      bf16.product_seconds(tokens, vocab, hidden) + 6 * tokens * vocab / bf16.memory_rate();
  seconds.backward_weight =
      bf16.product_seconds(vocab, tokens, hidden) + 8 * hidden * vocab / bf16.memory_rate();
  return seconds;
}

double dispatch_bytes(int64_t hidden, Precision precision) {
  const double elements = static_cast<double>(hidden);
  return precision == Precision::fp8 ? elements + std::ceil(elements / 128) * 4 : 2 * elements;
}

double combine_bytes(int64_t hidden) { return 2.0 * static_cast<double>(hidden); }

double all_to_all_seconds(const ModelShape& shape, const LayerShape& layer, const Device& device,
                          double tokens, int64_t expert_parallel) {
  if (expert_parallel <= 1 || !layer.is_moe()) return 0;
  const MachineSpec& spec = device.machine.spec;
  const double bytes =
      tokens * (dispatch_bytes(shape.hidden, device.precision) + combine_bytes(shape.hidden));
  const auto used = static_cast<double>(layer.experts_used());
  const double in_node = std::min<double>(expert_parallel, spec.devices_per_node);
  const double nodes = static_cast<double>(expert_parallel) / in_node;
  const double limit = shape.expert_groups > 1 ? static_cast<double>(shape.groups_used) : used;
  // Nodes that a token reaches: as many as routing allows, or those that K random experts hit.
  const double reached = shape.expert_groups > 1 ? std::min(nodes, limit)
                                                 : nodes * (1 - std::pow(1 - 1 / nodes, used));
  const double across = nodes > 1 ? reached * (1 - 1 / nodes) : 0;
  const double inside = used * (1 - 1 / in_node);
  const double outer = across > 0 ? across * bytes / (spec.inter_node_gbps * giga) : 0;
  const double inner = inside > 0 ? inside * bytes / (spec.intra_node_gbps * giga) : 0;
  return std::max(outer, inner);
}

}  // namespace minke
