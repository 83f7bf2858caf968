#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/log.h"
#include "base/machine.h"
#include "base/profile.h"
#include "kernels/elementwise.h"
#include "kernels/optimizer.h"
#include "train/schedule.h"

namespace minke {
namespace {

ModelOptions model_options(const TrainConfig& config) {
  ModelOptions options;
  options.compute = config.compute == ComputeDType::f32 ? DType::f32 : DType::bf16;
  options.training = true;
  options.recompute = config.recompute;
  options.sequences = config.batch.micro_batch;
  options.sequence_length = config.data.sequence_length;
  options.max_positions = config.data.sequence_length;
  return options;
}

// Everything that lies in the arena, built on any arena: once to count, once to train.
struct Parts {
  std::unique_ptr<Weights> weights;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<Transformer> model;
  int64_t weights_end, optimizer_end;  // bytes of the arena
};

Parts build(const TrainConfig& config, Arena& arena) {
  const ModelOptions options = model_options(config);
  Parts parts;
  parts.weights = std::make_unique<Weights>(config.model, arena, true);
  parts.weights_end = arena.used();
  if (!arena.is_counting())
    initialize_weights(*parts.weights, config.model.initializer_range, config.seed);
  parts.optimizer =
      std::make_unique<Optimizer>(config.optimizer, options.compute, *parts.weights, arena);
  parts.optimizer_end = arena.used();
  parts.model = std::make_unique<Transformer>(config.model, *parts.weights, arena, options);
  return parts;
}

WindowOptions window_options(const TrainConfig& config, int64_t mtp_depth) {
  return {config.data.sequence_length, mtp_depth, config.data.seed};
}

void check_vocabulary(const TrainConfig& config, const TokenDataset& data) {
  if (data.index().vocab_size > config.model.vocab_size)
    fail_usage(
        "the data in {} was made with a vocabulary of {}, the model has {} embedding rows; "
        "set model.vocab_size to at least {}",
        config.data.path, data.index().vocab_size, config.model.vocab_size,
        data.index().vocab_size);
}

// MaxVio of one layer's loads (DeepSeek's load-balancing paper, 2408.15664).
double max_violation(const std::vector<int64_t>& loads) {
  const double mean =
      static_cast<double>(std::accumulate(loads.begin(), loads.end(), int64_t{0})) / loads.size();
  const double most = static_cast<double>(*std::max_element(loads.begin(), loads.end()));
  return mean > 0 ? (most - mean) / mean : 0.0;
}

}  // namespace

TrainingMemory Trainer::plan_memory(const TrainConfig& config) {
  Arena counting = Arena::counting();
  const Parts parts = build(config, counting);
  TrainingMemory plan;
  plan.weights = parts.weights_end;
  plan.optimizer = parts.optimizer_end - parts.weights_end;
  plan.model = counting.used() - parts.optimizer_end;
  plan.process = resident_bytes();
  return plan;
}

Trainer::Trainer(TrainConfig config, Group& group) : config_(std::move(config)), group_(group) {
  train_ = std::make_unique<TokenDataset>(
      config_.data.path, Split::train,
      window_options(config_, config_.model.num_nextn_predict_layers));
  validation_ = std::make_unique<TokenDataset>(
      config_.data.path, Split::validation,
      window_options(config_, config_.model.num_nextn_predict_layers));
  check_vocabulary(config_, *train_);
  plan_ = plan_memory(config_);
  const int64_t arena_bytes = plan_.weights + plan_.optimizer + plan_.model;
  if (plan_.total() > machine().memory_bytes)
    fail(
        "training needs {:.1f} GiB, this machine grants {:.1f} GiB; try a smaller "
        "batch.micro_batch, recompute = true or optimizer.moment_dtype = \"bf16\"",
        plan_.total() / 1073741824.0, machine().memory_bytes / 1073741824.0);
  arena_ = Arena(arena_bytes);
  Parts parts = build(config_, arena_);
  weights_ = std::move(parts.weights);
  optimizer_ = std::move(parts.optimizer);
  model_ = std::move(parts.model);
  model_->refresh();
}

StepReport Trainer::step() {
  const ProfilePart part("optimizer");
  const Tensor& gradients = weights_->flat_gradients();
  clear(gradients);
  model_->reset_expert_loads();
  StepReport report = run_micro_batches(batch_sequences(config_.batch, position_.tokens));
  reduce(report);
  report.gradient_norm = std::sqrt(sum_of_squares(gradients));
  const double factor =
      learning_rate_factor(config_.schedule, position_.tokens, config_.total_tokens);
  report.learning_rate = config_.optimizer.learning_rate * factor;
  report.skipped = !std::isfinite(report.loss) || !std::isfinite(report.gradient_norm);
  if (report.skipped && config_.on_non_finite == NonFiniteAction::stop) stop_non_finite(report);

  if (!report.skipped) {
    const double clip = config_.optimizer.gradient_clip;
    const double scale =
        clip > 0 && report.gradient_norm > clip ? clip / report.gradient_norm : 1.0;
    optimizer_->step(++position_.updates, factor, scale);
    update_biases();
    refresh_model();
  }
  position_.skipped += report.skipped;
  ++position_.step;
  position_.sequences += report.sequences;
  position_.tokens += report.sequences * config_.data.sequence_length;
  return report;
}

// Reads the f32 weights and writes the two packed copies.
void Trainer::refresh_model() {
  const Tensor& weights = weights_->flat_weights();
  const int64_t packed = config_.compute == ComputeDType::f32 ? 8 : 4;
  const ProfileScope scope("pack weights", ProfileLimit::memory,
                           static_cast<double>(weights.bytes() + weights.size() * packed));
  model_->refresh();
}

StepReport Trainer::run_micro_batches(int64_t sequences) {
  StepReport report;
  report.sequences = sequences;
  const int64_t micro = config_.batch.micro_batch;
  const double tokens = static_cast<double>(sequences * config_.data.sequence_length);
  const Transformer::StepOptions options{
      1.0 / tokens, mtp_lambda(config_.balance, position_.tokens),
      config_.balance.sequence_balance_alpha, static_cast<double>(micro) / sequences};
  std::vector<int32_t> windows(static_cast<size_t>(micro * train_->window()));
  report.mtp_loss.resize(static_cast<size_t>(model_->depth()));
  for (int64_t first = 0; first < sequences; first += micro) {
    train_->read_sequences(position_.sequences + first, micro, windows.data());
    const auto losses = model_->forward_backward(windows, options);
    report.loss += losses.main / tokens;
    report.balance_loss += losses.balance * options.balance_scale;
    for (size_t k = 0; k < losses.mtp.size(); ++k) report.mtp_loss[k] += losses.mtp[k] / tokens;
  }
  return report;
}

// Sums gradients and expert counts over the ranks.
void Trainer::reduce(StepReport& report) {
  const Tensor& gradients = weights_->flat_gradients();
  group_.all_reduce_sum(std::span(gradients.as<float>(), static_cast<size_t>(gradients.size())));
  for (auto& loads : model_->expert_loads()) {
    group_.all_reduce_sum(std::span(loads));
    report.max_violation += max_violation(loads) / model_->expert_loads().size();
  }
}

void Trainer::stop_non_finite(const StepReport& report) const {
  const auto last = find_checkpoint(config_.output);
  fail(
      "the loss at step {} is not finite (loss {}, gradient norm {}); its batch is sequences {} to "
      "{} "
      "of the data's order; the last good checkpoint: {}. Lower optimizer.learning_rate, or set "
      "on_non_finite = \"skip\"",
      position_.step + 1, report.loss, report.gradient_norm, position_.sequences,
      position_.sequences + report.sequences - 1, last ? last->string() : "none");
}

// b_i ← b_i + u·sign(mean load − load_i) (V3 report, section 2.1.2).
void Trainer::update_biases() {
  const float speed = static_cast<float>(
      bias_update_speed(config_.balance, position_.tokens, config_.total_tokens));
  const std::vector<Tensor> biases = model_->expert_biases();
  for (size_t layer = 0; layer < biases.size(); ++layer) {
    const std::vector<int64_t>& loads = model_->expert_loads()[layer];
    const int64_t experts = static_cast<int64_t>(loads.size());
    const int64_t total = std::accumulate(loads.begin(), loads.end(), int64_t{0});
    for (int64_t e = 0; biases[layer] && e < experts; ++e) {
      const int64_t excess = loads[e] * experts - total;  // whole numbers, so sign is exact
      biases[layer].as<float>()[e] += excess < 0 ? speed : excess > 0 ? -speed : 0.0f;
    }
  }
}

double Trainer::validate() {
  const int64_t length = config_.data.sequence_length, micro = config_.batch.micro_batch;
  int64_t count = validation_->windows();
  if (config_.validation.max_tokens > 0)
    count = std::min(count, std::max<int64_t>(1, config_.validation.max_tokens / length));
  std::vector<int32_t> windows(static_cast<size_t>(micro * validation_->window()));
  double nats = 0, bytes = 0;
  for (int64_t first = 0; first < count; first += micro) {
    const int64_t valid = std::min(micro, count - first);
    validation_->read_sequences(first, valid, windows.data());
    nats += model_->evaluate(windows, valid);
    for (int64_t i = 0; i < valid; ++i)
      bytes += static_cast<double>(validation_->target_bytes(
          std::span(windows).subspan(i * validation_->window(), validation_->window())));
  }
  return nats / std::numbers::ln2 / std::max(1.0, bytes);
}

std::vector<std::pair<std::string, Tensor>> Trainer::state() const {
  auto tensors = optimizer_->state();
  tensors.emplace_back("weights", weights_->flat_weights());
  return tensors;
}

void Trainer::save() const {
  const fs::path data = config_.data.path;
  CheckpointContent content{
      {{"model", *weights_}}, state(), {data / "tokenizer.json", data / "tokenizer_config.json"}};
  if (optimizer_->ema()) content.models.emplace_back("ema", weights_->over(optimizer_->ema()));
  save_checkpoint(config_.output, config_, position_, content);
}

void Trainer::resume(const fs::path& checkpoint) {
  position_ = load_checkpoint(checkpoint, state());
  model_->refresh();
}

}  // namespace minke
