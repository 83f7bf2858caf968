#include "post/sft.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/log.h"
#include "model/convert.h"
#include "train/schedule.h"

namespace minke {
namespace {

// Nothing where the model has neither a template nor the tokens of a family; data without messages
// do not need one.
std::optional<ChatTemplate> find_template(const SftConfig& config, const ModelSource& source,
                                          const Tokenizer& tokenizer) {
  if (!config.data.chat_template.empty()) return ChatTemplate::named(config.data.chat_template);
  try {
    return source.chat_template(tokenizer);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Fails where the recipe stops for a loss that is not finite.
void check_finite(const SftConfig& config, const StepReport& report,
                  const TrainPosition& position) {
  if (!report.skipped || config.on_non_finite == NonFiniteAction::skip) return;
  fail(
      "the loss at step {} is not finite (loss {}, gradient norm {}); its batch begins at "
      "conversation {} of the data's order. Lower optimizer.learning_rate, or set on_non_finite = "
      "\"skip\"",
      position.step + 1, report.loss, report.gradient_norm, position.sequences);
}

}  // namespace

std::vector<TrainingBatch> micro_batches(const std::vector<const SftExample*>& batch,
                                         int64_t max_rows) {
  std::vector<TrainingBatch> parts;
  int64_t rows = max_rows;
  for (const SftExample* example : batch) {
    if (rows + example->rows() > max_rows) {
      parts.emplace_back();
      rows = 0;
    }
    parts.back().push_back(example->segment());
    rows += example->rows();
  }
  return parts;
}

SftTrainer::SftTrainer(SftConfig config, Group& group)
    : config_(std::move(config)),
      source_(ModelSource::open(config_.model)),
      tokenizer_(source_.tokenizer()),
      chat_(find_template(config_, source_, tokenizer_)) {
  const ChatTemplate* chat = chat_ ? &*chat_ : nullptr;
  const auto read = [&](const std::string& files) {
    return std::make_unique<SftData>(files, tokenizer_, chat, config_.data.max_tokens,
                                     config_.data.seed);
  };
  if (config_.data.max_tokens > source_.config().max_position_embeddings)
    fail_usage("data.max_tokens is {}, but {} handles {} (max_position_embeddings)",
               config_.data.max_tokens, source_.where(), source_.config().max_position_embeddings);
  data_ = read(config_.data.train);
  if (!config_.data.validation.empty()) validation_ = read(config_.data.validation);
  total_tokens_ = std::max<int64_t>(1, std::llround(config_.epochs * data_->epoch_tokens()));
  if (config_.max_tokens > 0) total_tokens_ = std::min(total_tokens_, config_.max_tokens);
  info("data: {} conversations, {} left out; this run takes {} tokens", data_->examples(),
       data_->left_out(), total_tokens_);
  const TrainableOptions options{source_.config(),
                                 config_.compute,
                                 config_.recompute,
                                 config_.optimizer,
                                 config_.batch.micro_batch_tokens,
                                 config_.data.max_tokens,
                                 0,
                                 config_.lora};
  model_ = std::make_unique<TrainableModel>(options, group);
  model_->load(source_);
  epoch_ = data_->epoch(0);
}

// Of the endless order of epochs; indices never fall.
const SftExample& SftTrainer::example(int64_t index) {
  while (index - epoch_begin_ >= static_cast<int64_t>(epoch_.size())) {
    epoch_begin_ += static_cast<int64_t>(epoch_.size());
    epoch_ = data_->epoch(++epoch_number_);
  }
  return *epoch_[static_cast<size_t>(index - epoch_begin_)];
}

// As many conversations as the batch holds, at least one, and no more than the run still takes.
std::vector<const SftExample*> SftTrainer::next_batch() {
  std::vector<const SftExample*> batch;
  const int64_t left = std::min(config_.batch.tokens, total_tokens_ - position_.tokens);
  int64_t rows = 0;
  while (batch.empty() || rows < left) {
    const SftExample& next = example(position_.sequences + static_cast<int64_t>(batch.size()));
    if (!batch.empty() && rows + next.rows() > config_.batch.tokens) break;
    batch.push_back(&next);
    rows += next.rows();
  }
  return batch;
}

double SftTrainer::flops(const std::vector<const SftExample*>& batch) const {
  double sum = 0;
  for (const SftExample* example : batch)
    sum += static_cast<double>(example->rows()) *
           model_->flops_per_token(example->rows(), config_.balance.mtp_lambda > 0);
  return sum;
}

StepReport SftTrainer::step() {
  const std::vector<const SftExample*> batch = next_batch();
  double weight = 0;
  int64_t rows = 0;
  for (const SftExample* example : batch) {
    rows += example->rows();
    for (const float w : example->weights) weight += w;
  }
  StepReport report;
  report.sequences = static_cast<int64_t>(batch.size());
  report.flops = flops(batch);
  model_->begin_step();
  CrossEntropy objective(1.0 / weight);
  for (const TrainingBatch& part : micro_batches(batch, config_.batch.micro_batch_tokens)) {
    const double share = static_cast<double>(part.size()) / static_cast<double>(batch.size());
    const auto losses = model_->forward_backward(
        part, objective,
        {1.0 / weight, config_.balance.mtp_lambda, config_.balance.sequence_balance_alpha, share});
    report.loss += losses.main / weight;
    report.balance_loss += losses.balance * share;
    report.mtp_loss.resize(losses.mtp.size());
    for (size_t k = 0; k < losses.mtp.size(); ++k) report.mtp_loss[k] += losses.mtp[k] / weight;
  }
  const double factor = learning_rate_factor(config_.schedule, position_.tokens, total_tokens_);
  report.learning_rate = config_.optimizer.learning_rate * factor;
  const UpdateReport update =
      model_->apply({factor, config_.balance.bias_update_speed, std::isfinite(report.loss)});
  report.gradient_norm = update.gradient_norm;
  report.max_violation = update.max_violation;
  report.expert_load = update.expert_load;
  report.skipped = update.skipped;
  check_finite(config_, report, position_);
  position_.updates = model_->updates();
  position_.skipped += report.skipped;
  ++position_.step;
  position_.sequences += report.sequences;
  position_.tokens += rows;
  return report;
}

std::optional<double> SftTrainer::validate() {
  if (!validation_) return std::nullopt;
  std::vector<const SftExample*> examples;
  int64_t rows = 0, bytes = 0;
  for (const SftExample& example : validation_->all()) {
    if (config_.validation.max_tokens > 0 && rows >= config_.validation.max_tokens) break;
    examples.push_back(&example);
    rows += example.rows();
    bytes += example.answer_bytes;
  }
  double nats = 0;
  CrossEntropy objective(0.0);
  for (const TrainingBatch& part : micro_batches(examples, config_.batch.micro_batch_tokens))
    nats += model_->evaluate(part, objective);
  return nats / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(1, bytes));
}

void SftTrainer::save() const {
  save_checkpoint(config_.output, position_,
                  model_->checkpoint_content(run_tokenizer_files(source_, config_.output)),
                  config_.checkpoint.keep);
}

void SftTrainer::resume(const fs::path& checkpoint) { position_ = model_->resume(checkpoint); }

void run_sft(const SftConfig& config, bool resume) {
  const RunSettings settings{"minke sft",
                             config.name,
                             config.output,
                             write_sft_config(config),
                             "",
                             0,
                             config.log_every_steps,
                             config.validation.every_tokens,
                             config.checkpoint.every_tokens,
                             config.cost};
  const auto make = [&](Group& group, RunSettings& of_data) {
    auto trainer = std::make_unique<SftTrainer>(config, group);
    of_data.data_sha256 = trainer->data().sha256();
    of_data.total_tokens = trainer->total_tokens();
    return trainer;
  };
  run_training(settings, make, resume, false);
}

}  // namespace minke
