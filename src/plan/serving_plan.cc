#include "plan/serving_plan.h"

#include <algorithm>
#include <optional>

namespace minke {
namespace {

// A layer's products for `rows` tokens of every device; experts are shared by `parallel` devices.
double products_seconds(const LayerShape& layer, const Device& device, double rows,
                        int64_t parallel, int64_t redundant) {
  double seconds = 0;
  for (const Product& product : layer.products) {
    const double matrices = product.routed() ? static_cast<double>(product.copies + redundant) /
                                                   static_cast<double>(parallel)
                                             : 1.0;
    seconds += device.product_seconds(rows * static_cast<double>(product.uses),
                                      static_cast<double>(product.in),
                                      static_cast<double>(product.out), matrices);
  }
  return seconds;
}

double between_products_bytes(const LayerShape& layer, double element) {
  double bytes = 12.0 * static_cast<double>(layer.products.front().in);
  for (const Product& product : layer.products)
    bytes += static_cast<double>(product.uses) * (static_cast<double>(product.in) * (2 + element) +
                                                  static_cast<double>(product.out) * 2);
  return bytes;
}

double device_weights(const ModelShape& shape, const Device& device, int64_t parallel,
                      int64_t redundant) {
  double bytes = 2.0 * static_cast<double>(shape.head_parameters()) * (shape.tied ? 1 : 2);
  for (const LayerShape& layer : shape.layers) {
    bytes += 2.0 * static_cast<double>(layer.vectors);
    for (const Product& product : layer.products) {
      const double copies = product.routed() ? static_cast<double>(product.copies + redundant) /
                                                   static_cast<double>(parallel)
                                             : 1.0;
      bytes += device.element_bytes() * copies * static_cast<double>(product.in * product.out);
    }
  }
  return bytes;
}

void check_job(const ModelShape& shape, const MachineFile& machine, const ServingJob& job) {
  if (job.precision == Precision::fp8 && machine.spec.fp8_tflops <= 0)
    fail_usage("{} has no FP8 units; use --precision bf16", machine.spec.name);
  if (job.cache_hits < 0 || job.cache_hits >= 1)
    fail_usage("--cache-hits {}: expected from 0 to below 1", job.cache_hits);
  const int64_t experts = shape.layers.back().experts() + job.redundant_experts;
  for (const int64_t parallel : {job.prefill_experts, job.decode_experts})
    if (parallel > 1 && (shape.layers.back().experts() == 0 || experts % parallel != 0))
      fail_usage(
          "{} experts (--redundant-experts included) on {} devices: expected a divisor of {}",
          experts, parallel, experts);
}

// A tenth of the memory is left for activations, buffers and fragments.
double usable_bytes(const MachineSpec& spec) { return 0.9 * spec.memory_gib * 0x1p30; }

void plan_prefill(const ModelShape& shape, const Device& device, const ServingJob& job,
                  ServingPlan& plan) {
  const double weights = device_weights(shape, device, job.prefill_experts, job.redundant_experts);
  if (weights > usable_bytes(device.machine.spec))
    fail_usage(
        "{:.1f} GiB of weights do not fit in {:.0f} GiB with a tenth to spare; use more devices "
        "(--prefill-experts) or --precision fp8",
        weights / 0x1p30, device.machine.spec.memory_gib);
  constexpr double tokens = 8192;  // of a device in one micro-batch
  const Efficiency& e = device.machine.efficiency;
  const double computed = 1 - job.cache_hits;
  // A computed token's mean number of keys: those that hit, and half of the others.
  const double keys = job.prompt * (job.cache_hits + computed / 2);
  for (const LayerShape& layer : shape.layers) {
    plan.prefill_compute +=
        products_seconds(layer, device, tokens, job.prefill_experts, job.redundant_experts) /
            tokens +
        keys * layer.pair_flops / (device.bf16_peak() * device.units * e.attention_forward) +
        between_products_bytes(layer, device.element_bytes()) / device.memory_rate();
    plan.prefill_all_to_all +=
        all_to_all_seconds(shape, layer, device, tokens, job.prefill_experts) / tokens;
  }
  // Two micro-batches take turns, so the all-to-all hides behind computation or the reverse.
  const double balance = job.prefill_experts > 1 ? e.balance : 1.0;
  const double seconds = std::max(plan.prefill_compute, plan.prefill_all_to_all) / balance;
  plan.prefill_limit =
      plan.prefill_compute > plan.prefill_all_to_all ? "computation" : "all-to-all";
  const auto devices = static_cast<double>(device.machine.spec.devices_per_node);
  plan.prefill_tokens = devices / seconds / computed;
}

struct DecodeParts {
  double products, attention, exchange;
  double step(bool overlap) const {
    return overlap ? std::max(products + attention, exchange) : products + attention + exchange;
  }
};

// Dispatch and combine of a step's rows, in small messages to each chosen expert.
double exchange_seconds(const ModelShape& shape, const LayerShape& layer, const Device& device,
                        int64_t parallel, double rows) {
  const MachineSpec& spec = device.machine.spec;
  const bool across = parallel > spec.devices_per_node;
  const double link = (across ? spec.inter_node_gbps : spec.intra_node_gbps) * 1e9;
  const double bytes = dispatch_bytes(shape.hidden, device.precision) + combine_bytes(shape.hidden);
  return rows * static_cast<double>(layer.experts_used()) * bytes /
         (link * device.machine.efficiency.small_messages);
}

// One step of `batch` sequences on each device, as two micro-batches where experts are shared.
DecodeParts decode_parts(const ModelShape& shape, const Device& device, const ServingJob& job,
                         double batch) {
  DecodeParts parts{};
  const Efficiency& e = device.machine.efficiency;
  const double halves = job.decode_experts > 1 ? 2 : 1;
  const double rows = batch / halves;
  for (const LayerShape& layer : shape.layers) {
    parts.products +=
        halves * products_seconds(layer, device, rows, job.decode_experts, job.redundant_experts);
    parts.products +=
        batch * between_products_bytes(layer, device.element_bytes()) / device.memory_rate();
    const double flops = batch * job.context * layer.absorbed_pair_flops;
    const double bytes = batch * job.context * 2 * static_cast<double>(layer.cache_elements);
    parts.attention +=
        std::max(flops / (device.bf16_peak() * e.decode_attention), bytes / device.memory_rate());
    if (job.decode_experts > 1 && layer.is_moe())
      parts.exchange += exchange_seconds(shape, layer, device, job.decode_experts, batch);
  }
  Device bf16 = device;
  bf16.precision = Precision::bf16;
  parts.products += bf16.product_seconds(batch, static_cast<double>(shape.hidden),
                                         static_cast<double>(shape.vocab));
  return parts;
}

// Sequences of a device: as asked, or the most that memory holds and that leave each user its
// speed.
template <typename StepSeconds>
int64_t decode_batch(const ServingJob& job, int64_t most, const StepSeconds& seconds) {
  if (job.batch > most)
    fail_usage("--serving-batch {}: memory holds {} sequences of {} tokens", job.batch, most,
               job.context);
  if (job.batch > 0) return job.batch;
  int64_t low = 1, high = most;
  while (low < high) {
    const int64_t middle = (low + high + 1) / 2;
    if (1 / seconds(middle) >= job.least_speed)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

const char* decode_limit(const DecodeParts& parts) {
  if (parts.exchange > parts.products + parts.attention) return "all-to-all";
  return parts.attention > parts.products ? "attention over the cache" : "weights";
}

void plan_decode(const ModelShape& shape, const Device& device, const ServingJob& job,
                 ServingPlan& plan) {
  const MachineSpec& spec = device.machine.spec;
  const double balance = job.decode_experts > 1 ? device.machine.efficiency.balance : 1.0;
  const double weights = device_weights(shape, device, job.decode_experts, job.redundant_experts);
  const double room = usable_bytes(spec) - weights;
  const double sequence = job.context * 2 * static_cast<double>(shape.cache_elements());
  if (room < sequence)
    fail_usage(
        "{:.1f} GiB of weights and {:.2f} GiB of cache do not fit in {:.0f} GiB with a tenth "
        "to spare; use more devices (--decode-experts), --precision fp8 or a shorter --context",
        weights / 0x1p30, sequence / 0x1p30, spec.memory_gib);
  const auto seconds = [&](int64_t batch) {
    return decode_parts(shape, device, job, static_cast<double>(batch)).step(true) / balance;
  };
  plan.batch = decode_batch(job, static_cast<int64_t>(room / sequence), seconds);
  const DecodeParts parts = decode_parts(shape, device, job, static_cast<double>(plan.batch));
  plan.decode_weights = parts.products;
  plan.decode_attention = parts.attention;
  plan.decode_all_to_all = parts.exchange;
  plan.decode_step = seconds(plan.batch);
  plan.user_speed = 1 / plan.decode_step;
  plan.decode_tokens = static_cast<double>(plan.batch * spec.devices_per_node) / plan.decode_step;
  plan.decode_limit = decode_limit(parts);
  plan.weights_gib = weights / 0x1p30;
  plan.cache_gib = sequence * static_cast<double>(plan.batch) / 0x1p30;
}

}  // namespace

ServingPlan plan_serving(const ModelShape& shape, const MachineFile& machine,
                         const ServingJob& job) {
  check_job(shape, machine, job);
  ServingPlan plan;
  plan.prefill_experts = job.prefill_experts;
  plan.decode_experts = job.decode_experts;
  const Efficiency& e = machine.efficiency;
  const double units = job.prefill_experts > 1 ? 1 - e.communication_units : 1.0;
  plan_prefill(shape, {machine, job.precision, units}, job, plan);
  plan_decode(shape, {machine, job.precision, 1.0}, job, plan);
  plan.mean_prefill_tokens = plan.prefill_tokens * e.utilization;
  plan.mean_decode_tokens = plan.decode_tokens * e.utilization;
  const double node_second =
      machine.spec.price_per_hour * static_cast<double>(machine.spec.devices_per_node) / 3600;
  plan.cost_per_million_input = node_second / plan.mean_prefill_tokens * 1e6;
  plan.cost_per_million_output = node_second / plan.mean_decode_tokens * 1e6;
  return plan;
}

ServingPlan search_serving(const ModelShape& shape, const MachineFile& machine, ServingJob job) {
  constexpr int64_t most_devices = 320;
  const int64_t experts = shape.layers.back().experts();
  const int64_t copies = experts + job.redundant_experts;
  std::optional<ServingPlan> best;
  std::string reason;
  const auto cost = [](const ServingPlan& p) {
    return p.cost_per_million_input + p.cost_per_million_output;
  };
  const int64_t most =
      experts && machine.spec.intra_node_gbps > 0 ? std::min(copies, most_devices) : 1;
  for (int64_t parallel = 1; parallel <= most; ++parallel) {
    if (parallel > 1 && copies % parallel != 0) continue;
    job.prefill_experts = job.decode_experts = parallel;
    try {
      const ServingPlan plan = plan_serving(shape, machine, job);
      if (!best || cost(plan) < cost(*best)) best = plan;
    } catch (const Error& error) {
      reason = error.what();
    }
  }
  if (!best) fail_usage("{}", reason);
  return *best;
}

double ServiceDay::revenue() const {
  return (hit_tokens * price_hit + (input_tokens - hit_tokens) * price_miss +
          output_tokens * price_output) /
         1e6;
}

}  // namespace minke
