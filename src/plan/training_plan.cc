#include "plan/training_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace minke {
namespace {

// Parameters of one device, by how many ranks hold the same.
struct HeldParameters {
  double shared = 0;   // on all data-parallel ranks
  double experts = 0;  // on data_parallel / experts ranks
};

// How the devices are dealt out.
void check_devices(const ModelShape& shape, const MachineFile& machine, const TrainingJob& job,
                   const Layout& layout) {
  const auto stages = static_cast<int64_t>(shape.layers.size());
  if (layout.pipeline < 1 || layout.pipeline > stages)
    fail_usage("--pipeline {}: the model has {} layers, expected from 1 to {} stages",
               layout.pipeline, stages, stages);
  if (job.devices % layout.pipeline != 0)
    fail_usage("--devices {}: expected a multiple of the {} pipeline stages", job.devices,
               layout.pipeline);
  const int64_t ranks = job.devices / layout.pipeline, experts = shape.layers.back().experts();
  if (layout.experts < 1 || ranks % layout.experts != 0)
    fail_usage(
        "--experts {}: {} devices in {} stages leave {} data-parallel ranks, expected a "
        "divisor of that",
        layout.experts, job.devices, layout.pipeline, ranks);
  if (layout.experts > 1 && (experts == 0 || experts % layout.experts != 0))
    fail_usage("--experts {}: the model has {} routed experts a layer, expected a divisor of that",
               layout.experts, experts);
  if (layout.experts > 1 && machine.spec.intra_node_gbps <= 0)
    fail_usage("{} has no link between devices, so --experts must be 1", machine.spec.name);
}

void check_layout(const ModelShape& shape, const MachineFile& machine, const TrainingJob& job,
                  const Layout& layout) {
  if (job.precision == Precision::fp8 && machine.spec.fp8_tflops <= 0)
    fail_usage("{} has no FP8 units; use --precision bf16", machine.spec.name);
  check_devices(shape, machine, job, layout);
  const int64_t ranks = job.devices / layout.pipeline;
  if (layout.micro_batch < 1 || job.batch_sequences % (ranks * layout.micro_batch) != 0)
    fail_usage(
        "--batch {}: {} data-parallel ranks with --micro-batch {} need a multiple of {} "
        "sequences",
        job.batch_sequences, ranks, layout.micro_batch, ranks * layout.micro_batch);
  const int64_t micro_batches = job.batch_sequences / ranks / layout.micro_batch;
  if (layout.schedule == Pipeline::dualpipe &&
      (layout.pipeline % 2 != 0 || micro_batches % 2 != 0 || micro_batches < 2 * layout.pipeline))
    fail_usage(
        "DualPipe needs an even number of stages and an even number of micro-batches, at "
        "least twice as many: there are {} stages and {} micro-batches",
        layout.pipeline, micro_batches);
}

LayerSeconds operator+(const LayerSeconds& a, const LayerSeconds& b) {
  return {a.forward + b.forward, a.backward_input + b.backward_input,
          a.backward_weight + b.backward_weight};
}

double total(const LayerSeconds& s) { return s.forward + s.backward(); }

// The load of the fullest of `bins`, when `layers` equal ones and `last` (the head) are dealt out
// so that it is least: the head's bin takes h layers, the others share the rest.
double fullest_bin(int64_t layers, double layer, double last, int64_t bins) {
  if (bins == 1) return static_cast<double>(layers) * layer + last;
  double best = std::numeric_limits<double>::max();
  for (int64_t h = 0; h <= layers; ++h) {
    const int64_t others = (layers - h + bins - 2) / (bins - 1);
    best = std::min(
        best, std::max(static_cast<double>(h) * layer + last, static_cast<double>(others) * layer));
  }
  return best;
}

HeldParameters held_parameters(const ModelShape& shape, const Layout& layout) {
  HeldParameters held;
  const double copies = layout.schedule == Pipeline::dualpipe ? 2 : 1;
  const auto add = [&](const LayerShape& layer) {
    double routed = 0;
    for (const Product& product : layer.products)
      if (product.routed()) routed += static_cast<double>(product.parameters());
    held.experts += routed / static_cast<double>(layout.experts);
    held.shared += static_cast<double>(layer.parameters()) - routed;
  };
  for (const LayerShape& layer : shape.layers) add(layer);
  for (const LayerShape& layer : shape.mtp) add(layer);
  // The fullest stage has its share of the layers, rounded up, and embedding or head or both.
  const auto layers = static_cast<double>(shape.layers.size() + shape.mtp.size());
  const double share = std::ceil(layers / layout.pipeline) / layers * copies;
  const bool both = layout.pipeline == 1 || layout.schedule == Pipeline::dualpipe;
  held.experts *= share;
  held.shared = held.shared * share +
                static_cast<double>(shape.head_parameters()) * (both && !shape.tied ? 2 : 1);
  return held;
}

// Bytes that one token leaves in one layer for backward. Recomputation keeps the residual stream,
// the latents, attention's output and the experts' inputs; else every product's input and output
// stay.
double saved_bytes(const LayerShape& layer, const TrainingJob& job, bool recompute) {
  const double element = job.precision == Precision::fp8 ? 1 : 2;
  double bytes =
      4.0 * static_cast<double>(layer.products.front().in) + 4.0 * static_cast<double>(layer.heads);
  for (const Product& product : layer.products) {
    const auto in = static_cast<double>(product.in * product.uses);
    const auto out = static_cast<double>(product.out * product.uses);
    const bool down = product.out == layer.products.front().in;
    bytes += recompute ? (down && product.part != "attention" ? 0 : in * element)
                       : in * element + (down ? 0 : out * 2);
    if (recompute && !down && product.part != "attention" && product.part != "router")
      bytes += out * element;  // SwiGLU's input, kept in the products' precision
  }
  return bytes;
}

RankMemory rank_memory(const ModelShape& shape, const TrainingJob& job, const Layout& layout,
                       int64_t data_parallel) {
  RankMemory memory;
  const HeldParameters held = held_parameters(shape, layout);
  const double all = held.shared + held.experts;
  const auto ranks = static_cast<double>(data_parallel);
  const double sharded =
      held.shared / ranks + held.experts * static_cast<double>(layout.experts) / ranks;
  memory.weights =
      (job.zero_stage >= 3 ? sharded : all) * (job.precision == Precision::fp8 ? 1 : 2);
  memory.gradients = (job.zero_stage >= 2 ? sharded : all) * 4;
  memory.optimizer = (job.zero_stage >= 1 ? sharded : all) * 8;

  const double tokens = static_cast<double>(layout.micro_batch * job.sequence_length);
  double bytes = 0;
  for (const LayerShape& layer : shape.layers) bytes += saved_bytes(layer, job, layout.recompute);
  for (const LayerShape& layer : shape.mtp) bytes += saved_bytes(layer, job, layout.recompute);
  const bool dual = layout.schedule == Pipeline::dualpipe;
  // 1F1B keeps PP micro-batches on its first stage; DualPipe PP + 1 chunks of one stage.
  const double in_flight = static_cast<double>(layout.pipeline + (dual ? 1 : 0));
  memory.activations = bytes / static_cast<double>(layout.pipeline) * tokens * in_flight;
  const double workspace = 2e9;  // the runtime, its kernels and their scratch
  const auto used = static_cast<double>(shape.layers.back().experts_used());
  memory.buffers = workspace + 4096.0 * static_cast<double>(shape.vocab) * 6 +
                   2 * tokens * used *
                       (dispatch_bytes(shape.hidden, job.precision) + combine_bytes(shape.hidden));
  return memory;
}

// Gradients are reduce-scattered as f32 and weights gathered as bf16, over the slower link in use.
double reduction_seconds(const HeldParameters& held, const MachineSpec& spec, const Layout& layout,
                         int64_t data_parallel) {
  if (data_parallel == 1) return 0;
  const bool across = data_parallel * layout.pipeline > spec.devices_per_node;
  const double rate = (across ? spec.inter_node_gbps : spec.intra_node_gbps) * 1e9;
  const auto share = [](double ranks) { return ranks > 1 ? (ranks - 1) / ranks : 0.0; };
  const auto ranks = static_cast<double>(data_parallel);
  return 6 *
         (held.shared * share(ranks) +
          held.experts * share(ranks / static_cast<double>(layout.experts))) /
         rate;
}

void name_limit(TrainingPlan& plan) {
  // Computation is named unless something else costs more than a fifth of it.
  const std::pair<double, const char*> parts[] = {
      {plan.compute / plan.imbalance * 0.2, "computation"},
      {plan.exposed, "all-to-all that computation does not hide"},
      {plan.bubble, "pipeline bubbles"},
      {plan.reduction, "reducing gradients between data-parallel ranks"},
      {plan.compute * (1 - 1 / plan.imbalance), "unequal stages (head and whole layers)"}};
  plan.limit = std::max_element(std::begin(parts), std::end(parts))->second;
}

// One micro-batch through the whole model on one device.
struct MicroBatch {
  LayerSeconds body, heads;  // MTP modules count with the heads
  double exchange = 0;       // all-to-all forward; backward takes the same again
};

MicroBatch micro_batch_seconds(const ModelShape& shape, const Device& device,
                               const TrainingJob& job, const Layout& layout) {
  const double tokens = static_cast<double>(layout.micro_batch * job.sequence_length);
  const TrainingShare share{tokens, job.sequence_length, layout.experts, layout.recompute};
  MicroBatch micro{{}, head_seconds(shape, device, tokens)};
  for (const LayerShape& layer : shape.layers) {
    micro.body = micro.body + layer_seconds(layer, device, share);
    micro.exchange += all_to_all_seconds(shape, layer, device, tokens, layout.experts);
  }
  for (const LayerShape& layer : shape.mtp) {
    micro.heads =
        micro.heads + layer_seconds(layer, device, share) + head_seconds(shape, device, tokens);
    micro.exchange += all_to_all_seconds(shape, layer, device, tokens, layout.experts);
  }
  return micro;
}

// Computation, bubble and exposed all-to-all of a step; the slowest stage sets the pace.
void plan_pipeline(const ModelShape& shape, const MicroBatch& micro, TrainingPlan& plan) {
  const Layout& layout = plan.layout;
  const bool dual = layout.schedule == Pipeline::dualpipe;
  const auto layers = static_cast<int64_t>(shape.layers.size());
  const int64_t bins = dual ? layout.pipeline / 2 : layout.pipeline;
  const LayerSeconds chunk = micro.body + micro.heads;
  const double slowest = fullest_bin(layers, total(micro.body) / static_cast<double>(layers),
                                     total(micro.heads), bins);
  plan.imbalance = slowest * static_cast<double>(bins) / total(chunk);

  const double per_stage = plan.imbalance / static_cast<double>(layout.pipeline);
  const auto count = static_cast<double>(plan.micro_batches);
  const double forward = chunk.forward * per_stage, backward = chunk.backward() * per_stage;
  const double weight = chunk.backward_weight * per_stage;
  const double links = 2 * micro.exchange / static_cast<double>(layout.pipeline);
  plan.compute = count * (forward + backward);
  plan.all_to_all = count * links;
  if (dual) {
    const double pair = std::max(forward + backward, links);
    plan.exposed = count * (pair - forward - backward);
    const int64_t waits = layout.pipeline / 2 - 1;
    plan.bubble = std::max(0.0, static_cast<double>(waits) * (pair + backward - 3 * weight));
  } else {
    plan.exposed = count * links;
    plan.bubble = static_cast<double>(layout.pipeline - 1) * (forward + backward + links);
  }
}

}  // namespace

TrainingPlan plan_training(const ModelShape& shape, const MachineFile& machine,
                           const TrainingJob& job, const Layout& layout) {
  check_layout(shape, machine, job, layout);
  TrainingPlan plan;
  plan.layout = layout;
  plan.data_parallel = job.devices / layout.pipeline;
  plan.micro_batches = job.batch_sequences / plan.data_parallel / layout.micro_batch;
  plan.memory = rank_memory(shape, job, layout, plan.data_parallel);

  const Efficiency& e = machine.efficiency;
  const Device device{machine, job.precision, layout.experts > 1 ? 1 - e.communication_units : 1.0};
  plan_pipeline(shape, micro_batch_seconds(shape, device, job, layout), plan);
  const HeldParameters held = held_parameters(shape, layout);
  plan.reduction = reduction_seconds(held, machine.spec, layout, plan.data_parallel);
  plan.optimizer = plan.memory.optimizer * 2.5 / device.memory_rate();  // read, written, gradients
  plan.step_seconds = plan.compute + plan.exposed + plan.bubble + plan.reduction + plan.optimizer;

  const double step_tokens = static_cast<double>(job.batch_sequences * job.sequence_length);
  plan.tokens_per_second = step_tokens / plan.step_seconds;
  plan.hours = job.tokens / plan.tokens_per_second / 3600 / e.availability;
  plan.device_hours = plan.hours * static_cast<double>(job.devices);
  plan.cost = plan.device_hours * machine.spec.price_per_hour;
  plan.flops_fraction = 3 * shape.forward_flops(job.sequence_length, true) *
                        plan.tokens_per_second / (device.peak() * static_cast<double>(job.devices));
  name_limit(plan);
  return plan;
}

std::string layout_text(const TrainingPlan& plan) {
  const Layout& l = plan.layout;
  std::string text = fmt::format("PP {} x DP {}", l.pipeline, plan.data_parallel);
  if (l.experts > 1) text += fmt::format(", EP {}", l.experts);
  if (l.pipeline > 1) text += l.schedule == Pipeline::dualpipe ? ", DualPipe" : ", 1F1B";
  text += fmt::format(", micro-batch {}", l.micro_batch);
  return text + (l.recompute ? ", recomputation" : "");
}

}  // namespace minke
