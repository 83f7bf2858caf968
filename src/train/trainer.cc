#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/profile.h"
#include "model/model_source.h"
#include "train/schedule.h"

namespace minke {
namespace {

// Sequences in memory at once.
int64_t micro_batch(const BatchConfig& batch) {
  return std::min(batch.micro_batch, batch.sequences);
}

TrainableOptions trainable_options(const TrainConfig& config) {
  return {config.model,
          config.compute,
          config.recompute,
          config.optimizer,
          micro_batch(config.batch) * config.data.sequence_length,
          config.data.sequence_length,
          config.seed};
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

// Token ids must mean what they meant to the model.
void check_tokenizer(const TrainConfig& config, const ModelSource& source) {
  const fs::path data = fs::path(config.data.path) / "tokenizer.json";
  const fs::path model = source.path() / "tokenizer.json";
  if (fs::exists(model) && sha256_file(model) != sha256_file(data))
    fail_usage(
        "the data in {} were made with another tokenizer than that of {}; prepare them with "
        "`minke data prepare --tokenizer {}`",
        config.data.path, source.where(), source.where());
}

// The documents of a window, as segments of their own. Of the next document they have the first
// token, the target of the EOS, and no more, so that MTP modules see none of it.
void add_documents(TrainingBatch& batch, std::span<const int32_t> window, int64_t rows,
                   const std::vector<int64_t>& starts) {
  int64_t begin = 0;
  const auto add = [&](int64_t start) {
    const int64_t end = std::min(start, rows);
    if (end <= begin) return;
    const int64_t tokens = std::min(start + 1, static_cast<int64_t>(window.size())) - begin;
    batch.push_back({end - begin, window.subspan(begin, tokens)});
    begin = end;
  };
  for (const int64_t start : starts) add(start);
  add(static_cast<int64_t>(window.size()));
}

double flops_of(const TrainableModel& model, const TrainingBatch& batch, bool with_mtp) {
  double sum = 0;
  for (const TrainingSegment& segment : batch)
    sum += model.flops_per_token(segment.rows, with_mtp) * static_cast<double>(segment.rows);
  return sum;
}

}  // namespace

TrainingMemory Trainer::plan_memory(const TrainConfig& config) {
  return TrainableModel::plan_memory(trainable_options(config));
}

Trainer::Trainer(TrainConfig config, Group& group) : config_(std::move(config)) {
  train_ = std::make_unique<TokenDataset>(
      config_.data.path, Split::train,
      window_options(config_, config_.model.num_nextn_predict_layers));
  if (train_->index().validation.tokens > 0)
    validation_ = std::make_unique<TokenDataset>(
        config_.data.path, Split::validation,
        window_options(config_, config_.model.num_nextn_predict_layers));
  check_vocabulary(config_, *train_);
  model_ = std::make_unique<TrainableModel>(trainable_options(config_), group);
  if (!config_.model_weights) return;
  const ModelSource source = ModelSource::open(config_.model_path);
  check_tokenizer(config_, source);
  model_->load(source);
}

StepReport Trainer::step() {
  const ProfilePart part("optimizer");
  model_->begin_step();
  StepReport report = run_micro_batches(batch_sequences(config_.batch, position_.tokens));
  const double factor =
      learning_rate_factor(config_.schedule, position_.tokens, config_.total_tokens);
  report.learning_rate = config_.optimizer.learning_rate * factor;
  const UpdateReport update = model_->apply(
      {factor, bias_update_speed(config_.balance, position_.tokens, config_.total_tokens),
       std::isfinite(report.loss)});
  report.gradient_norm = update.gradient_norm;
  report.max_violation = update.max_violation;
  report.expert_load = update.expert_load;
  report.skipped = update.skipped;
  if (report.skipped && config_.on_non_finite == NonFiniteAction::stop) stop_non_finite(report);

  position_.updates = model_->updates();
  position_.skipped += report.skipped;
  ++position_.step;
  position_.sequences += report.sequences;
  position_.tokens += report.sequences * config_.data.sequence_length;
  return report;
}

TrainingBatch Trainer::segments(const TokenDataset& data, std::span<const int32_t> windows) const {
  const int64_t rows = config_.data.sequence_length, window = data.window();
  if (!config_.data.document_mask) return window_batch(windows, window, rows);
  TrainingBatch batch;
  for (size_t first = 0; first < windows.size(); first += static_cast<size_t>(window)) {
    const auto one = windows.subspan(first, static_cast<size_t>(window));
    add_documents(batch, one, rows, data.document_starts(one));
  }
  return batch;
}

StepReport Trainer::run_micro_batches(int64_t sequences) {
  StepReport report;
  report.sequences = sequences;
  const int64_t micro = micro_batch(config_.batch);
  const double tokens = static_cast<double>(sequences * config_.data.sequence_length);
  const double lambda = mtp_lambda(config_.balance, position_.tokens);
  std::vector<int32_t> windows;
  CrossEntropy objective(1.0 / tokens);
  for (int64_t first = 0; first < sequences; first += micro) {
    const int64_t count = std::min(micro, sequences - first);  // the last may have fewer
    const double share = static_cast<double>(count) / static_cast<double>(sequences);
    windows.resize(static_cast<size_t>(count * train_->window()));
    train_->read_sequences(position_.sequences + first, count, windows.data());
    const TrainingBatch batch = segments(*train_, windows);
    report.flops += flops_of(*model_, batch, lambda > 0);
    const auto losses = model_->forward_backward(
        batch, objective, {1.0 / tokens, lambda, config_.balance.sequence_balance_alpha, share});
    report.loss += losses.main / tokens;
    report.balance_loss += losses.balance * share;
    report.mtp_loss.resize(losses.mtp.size());
    for (size_t k = 0; k < losses.mtp.size(); ++k) report.mtp_loss[k] += losses.mtp[k] / tokens;
  }
  return report;
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

std::optional<double> Trainer::validate() {
  if (!validation_) return std::nullopt;
  const int64_t length = config_.data.sequence_length, micro = micro_batch(config_.batch);
  int64_t count = validation_->windows();
  if (config_.validation.max_tokens > 0)
    count = std::min(count, std::max<int64_t>(1, config_.validation.max_tokens / length));
  std::vector<int32_t> windows(static_cast<size_t>(micro * validation_->window()));
  double nats = 0, bytes = 0;
  CrossEntropy objective(0.0);
  for (int64_t first = 0; first < count; first += micro) {
    const int64_t valid = std::min(micro, count - first);
    validation_->read_sequences(first, valid, windows.data());
    const std::span<const int32_t> read(windows.data(),
                                        static_cast<size_t>(valid * validation_->window()));
    nats += model_->evaluate(segments(*validation_, read), objective);
    for (int64_t i = 0; i < valid; ++i)
      bytes += static_cast<double>(validation_->target_bytes(
          std::span(windows).subspan(i * validation_->window(), validation_->window())));
  }
  return nats / std::numbers::ln2 / std::max(1.0, bytes);
}

void Trainer::save() const {
  const fs::path data = config_.data.path;
  save_checkpoint(
      config_.output, position_,
      model_->checkpoint_content({data / "tokenizer.json", data / "tokenizer_config.json"}),
      config_.checkpoint.keep);
}

void Trainer::resume(const fs::path& checkpoint) { position_ = model_->resume(checkpoint); }

}  // namespace minke
