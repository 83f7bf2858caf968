#include "train/trainable_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/machine.h"
#include "base/profile.h"
#include "base/threads.h"
#include "kernels/elementwise.h"
#include "kernels/optimizer.h"
#include "model/adapter_files.h"
#include "plan/flops.h"

namespace minke {
namespace {

DType dtype_of(ComputeDType compute) {
  return compute == ComputeDType::f32 ? DType::f32 : DType::bf16;
}

// Everything that lies in the arena, built on any arena: once to count, once to train.
struct Parts {
  std::unique_ptr<Weights> weights;
  std::unique_ptr<Adapters> adapters;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<Transformer> model;
  int64_t weights_end, optimizer_end;  // bytes of the arena
};

Parts build(const TrainableOptions& options, Arena& arena) {
  const DType compute = dtype_of(options.compute);
  Parts parts;
  parts.weights = std::make_unique<Weights>(options.model, arena, !options.lora.is_on());
  if (options.lora.is_on())
    parts.adapters =
        std::make_unique<Adapters>(options.model, options.lora, compute, options.tokens, arena);
  parts.weights_end = arena.used();
  if (!arena.is_counting())
    initialize_weights(*parts.weights, options.model.initializer_range, options.seed);
  if (parts.adapters && !arena.is_counting()) parts.adapters->initialize();
  const Weights& trained = parts.adapters ? parts.adapters->weights() : *parts.weights;
  parts.optimizer = std::make_unique<Optimizer>(options.optimizer, compute, trained, arena);
  parts.optimizer_end = arena.used();
  ModelOptions model{compute, true, options.recompute, options.tokens, options.max_positions};
  model.adapters = parts.adapters.get();
  parts.model = std::make_unique<Transformer>(options.model, *parts.weights, arena, model);
  return parts;
}

// MaxVio of one layer's loads (DeepSeek's load-balancing paper, 2408.15664).
double max_violation(const std::vector<int64_t>& loads) {
  const double mean =
      static_cast<double>(std::accumulate(loads.begin(), loads.end(), int64_t{0})) / loads.size();
  const double most = static_cast<double>(*std::max_element(loads.begin(), loads.end()));
  return mean > 0 ? (most - mean) / mean : 0.0;
}

}  // namespace

DType TrainableModel::compute() const { return dtype_of(options_.compute); }

TrainingMemory TrainableModel::plan_memory(const TrainableOptions& options) {
  Arena counting = Arena::counting();
  const Parts parts = build(options, counting);
  TrainingMemory plan;
  plan.weights = parts.weights_end;
  plan.optimizer = parts.optimizer_end - parts.weights_end;
  plan.model = counting.used() - parts.optimizer_end;
  plan.process = resident_bytes();
  return plan;
}

TrainableModel::TrainableModel(const TrainableOptions& options, Group& group)
    : options_(options), group_(group), plan_(plan_memory(options)) {
  if (plan_.total() > machine().memory_bytes)
    fail(
        "training needs {:.1f} GiB, this machine grants {:.1f} GiB; try a smaller "
        "batch.micro_batch, recompute = true or optimizer.moment_dtype = \"bf16\"",
        plan_.total() / 1073741824.0, machine().memory_bytes / 1073741824.0);
  arena_ = Arena(plan_.weights + plan_.optimizer + plan_.model);
  Parts parts = build(options_, arena_);
  weights_ = std::move(parts.weights);
  adapters_ = std::move(parts.adapters);
  optimizer_ = std::move(parts.optimizer);
  model_ = std::move(parts.model);
  model_->refresh();
}

void TrainableModel::load(const ModelSource& source) {
  for (const Parameter& parameter : weights_->parameters()) {
    if (parameter.kind == ParameterKind::tied) continue;
    const RowSource rows = parameter_rows(source, parameter);
    rows.read(0, rows.rows(),
              weights_->flat_weights().as<float>() + weights_->offset(parameter.name));
  }
  if (const Tensor& ema = optimizer_->ema())
    std::memcpy(ema.data, weights_->flat_weights().data, static_cast<size_t>(ema.bytes()));
  if (adapters_) {
    base_.clear();
    base_name_ = source.where();
    for (const Parameter& matrix : adapters_->matrices())
      base_.push_back(parameter_rows(source, matrix));
    if (!options_.lora.adapter.empty()) load_adapter(options_.lora.adapter, *adapters_);
  }
  refresh();
}

// W' = W + s·B·A of every matrix that has an adapter.
void TrainableModel::merge() {
  require(base_.size() == adapters_->matrices().size(), "adapters without a base that was loaded");
  adapters_->refresh();
  for (size_t i = 0; i < base_.size(); ++i) {
    const Tensor weight = weights_->weight(adapters_->matrices()[i].name);
    const int64_t grain = base_[i].grain();
    parallel_ranges(weight.rows() / grain, std::max<int64_t>(1, 64 / grain),
                    [&](int64_t begin, int64_t end) {
                      base_[i].read(begin * grain, end * grain, weight.row<float>(begin * grain));
                    });
    adapters_->merge(i, weight);
  }
}

void TrainableModel::begin_step() {
  clear(trained().flat_gradients());
  model_->reset_expert_loads();
}

UpdateReport TrainableModel::apply(const UpdateOptions& options) {
  UpdateReport report;
  report.max_violation = reduce();
  report.expert_load = model_->expert_loads();
  report.gradient_norm = std::sqrt(sum_of_squares(trained().flat_gradients()));
  report.skipped = !options.finite || !std::isfinite(report.gradient_norm);
  if (report.skipped) return report;
  const double clip = options_.optimizer.gradient_clip;
  const double scale = clip > 0 && report.gradient_norm > clip ? clip / report.gradient_norm : 1.0;
  optimizer_->step(++updates_, options.learning_rate_factor, scale);
  update_biases(options.bias_update_speed);
  refresh();
  return report;
}

// Sums gradients and expert counts over the ranks; returns the mean MaxVio.
double TrainableModel::reduce() {
  const Tensor& gradients = trained().flat_gradients();
  group_.all_reduce_sum(std::span(gradients.as<float>(), static_cast<size_t>(gradients.size())));
  double violation = 0;
  for (auto& loads : model_->expert_loads()) {
    group_.all_reduce_sum(std::span(loads));
    violation += max_violation(loads) / model_->expert_loads().size();
  }
  return violation;
}

// b_i ← b_i + u·sign(mean load − load_i) (V3 report, section 2.1.2).
void TrainableModel::update_biases(double speed) {
  const float step = static_cast<float>(speed);
  const std::vector<Tensor> biases = model_->expert_biases();
  for (size_t layer = 0; layer < biases.size(); ++layer) {
    const std::vector<int64_t>& loads = model_->expert_loads()[layer];
    const int64_t experts = static_cast<int64_t>(loads.size());
    const int64_t total = std::accumulate(loads.begin(), loads.end(), int64_t{0});
    for (int64_t e = 0; biases[layer] && e < experts; ++e) {
      const int64_t excess = loads[e] * experts - total;  // whole numbers, so sign is exact
      biases[layer].as<float>()[e] += excess < 0 ? step : excess > 0 ? -step : 0.0f;
    }
  }
}

// Merges the adapters, reads the f32 weights and writes the two packed copies.
void TrainableModel::refresh() {
  if (adapters_) merge();
  const Tensor& weights = weights_->flat_weights();
  const int64_t packed = compute() == DType::f32 ? 8 : 4;
  const ProfileScope scope("pack weights", ProfileLimit::memory,
                           static_cast<double>(weights.bytes() + weights.size() * packed));
  model_->refresh();
}

double TrainableModel::flops_per_token(int64_t sequence_length, bool with_mtp) const {
  const double forward = forward_flops_per_token(options_.model, sequence_length, with_mtp);
  return adapters_ ? 2 * forward + adapters_->backward_flops_per_token() : 3 * forward;
}

std::vector<float> TrainableModel::log_probabilities(const TrainingBatch& batch,
                                                     double temperature) {
  TargetLogProbability objective(batch_rows(batch), temperature);
  model_->evaluate(batch, objective);
  return objective.log_probabilities();
}

std::vector<std::pair<std::string, Tensor>> TrainableModel::state() const {
  auto tensors = optimizer_->state();
  tensors.emplace_back(adapters_ ? "adapters" : "weights", trained().flat_weights());
  return tensors;
}

CheckpointContent TrainableModel::checkpoint_content(std::vector<fs::path> files) const {
  CheckpointContent content{
      options_.model, compute(), {{"model", *weights_}}, state(), std::move(files)};
  if (optimizer_->ema()) content.models.emplace_back("ema", weights_->over(optimizer_->ema()));
  content.adapters = adapters_.get();
  content.base = base_name_;
  return content;
}

TrainPosition TrainableModel::resume(const fs::path& checkpoint) {
  const TrainPosition position = load_checkpoint(checkpoint, state());
  updates_ = position.updates;
  refresh();
  return position;
}

}  // namespace minke
