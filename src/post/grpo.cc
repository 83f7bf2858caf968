#include "post/grpo.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/machine.h"
#include "base/random.h"
#include "model/convert.h"
#include "plan/flops.h"
#include "train/schedule.h"

namespace minke {
namespace {

RolloutOptions rollout_options(const GrpoConfig& config, int64_t sequences, int64_t memory_bytes,
                               std::optional<QuantizationType> type) {
  return {config.rollout.max_prompt_tokens,
          config.rollout.max_tokens,
          sequences,
          config.rollout.mode == RolloutMode::exact,
          config.rollout.stop,
          false,
          memory_bytes,
          type};
}

std::optional<QuantizationType> quantization(const GrpoConfig& config) {
  if (config.rollout.quantization == RolloutQuantization::none) return std::nullopt;
  return config.rollout.quantization == RolloutQuantization::q8_0 ? QuantizationType::q8_0
                                                                  : QuantizationType::q4_0;
}

TrainableOptions trainable_options(const GrpoConfig& config, const ModelConfig& model) {
  TrainableOptions options;
  options.model = model;
  options.compute = config.compute;
  options.optimizer = config.optimizer;
  options.tokens = config.update.micro_batch_tokens;
  options.max_positions = config.rollout.max_prompt_tokens + config.rollout.max_tokens;
  options.seed = config.seed;
  options.lora = config.lora;
  return options;
}

}  // namespace

GrpoTrainer::GrpoTrainer(GrpoConfig config, std::unique_ptr<Task> task,
                         std::unique_ptr<Reward> reward, Group& group, bool resuming)
    : config_(std::move(config)),
      source_(ModelSource::open(config_.model)),
      tokenizer_(source_.tokenizer()),
      task_(std::move(task)),
      reward_(std::move(reward)) {
  judge_ = std::make_unique<VerdictJournal>(*reward_, fs::path(config_.output) / "verdicts.jsonl",
                                            resuming);
  model_ = std::make_unique<TrainableModel>(trainable_options(config_, source_.config()), group);
  model_->load(source_);
  weights_ = std::make_unique<FlatSource>(model_->weights());
  const auto type = quantization(config_);
  rollout_ = make_rollout(*weights_, config_.rollout.sequences, type);
  if (type) trained_rollout_ = make_rollout(*weights_, config_.rollout.sequences, std::nullopt);
  if (config_.rollout.chat) chat_ = source_.chat_template(tokenizer_);
  const auto prompt = [this](const Problem& problem) {
    return make_prompt(fill_template(config_.rollout.prompt_template, problem), tokenizer_,
                       chat_ ? &*chat_ : nullptr);
  };
  sampler_ = std::make_unique<GroupSampler>(
      GroupSamplerOptions{config_.rollout, config_.loss.advantage_scale, config_.seed,
                          config_.task.on_bad_sample, prompt},
      *task_, *judge_, *rollout_);
  held_out_ = sampler_->usable(distinct_problems(
      *task_, TaskSplit::test, static_cast<uint64_t>(config_.evaluation.problems)));
  if (config_.loss.kl_coefficient > 0) add_reference();
}

std::unique_ptr<Rollout> GrpoTrainer::make_rollout(const WeightSource& weights, int64_t sequences,
                                                   std::optional<QuantizationType> type) const {
  const int64_t memory_left = machine().memory_bytes - planned_bytes();
  return std::make_unique<Rollout>(model_->options().model, weights, model_->compute(), tokenizer_,
                                   rollout_options(config_, sequences, memory_left, type));
}

void GrpoTrainer::add_reference() {
  const Tensor& flat = model_->weights().flat_weights();
  reference_arena_ = Arena(flat.bytes() + 4096);
  const Tensor copy = reference_arena_.allocate(DType::f32, {flat.size()});
  std::memcpy(copy.data, flat.data, static_cast<size_t>(flat.bytes()));
  reference_weights_ = std::make_unique<Weights>(model_->weights().over(copy));
  reference_source_ = std::make_unique<FlatSource>(*reference_weights_);
  constexpr int64_t sequences = 16;  // it samples none; pages for a pass over so many long answers
  reference_ = make_rollout(*reference_source_, sequences, std::nullopt);
}

int64_t GrpoTrainer::planned_bytes() const {
  int64_t bytes = model_->memory_plan().total();
  if (rollout_) bytes += rollout_->planned_bytes();
  if (trained_rollout_) bytes += trained_rollout_->planned_bytes();
  if (reference_weights_) bytes += reference_weights_->flat_weights().bytes();
  if (reference_) bytes += reference_->planned_bytes();
  return bytes;
}

void GrpoTrainer::refresh_rollout() {
  if (std::exchange(stale_, false)) rollout_->refresh();
}

// The engine with the trainer's weights as they are now.
Rollout& GrpoTrainer::trained_rollout() {
  if (!trained_rollout_) {
    refresh_rollout();
    return *rollout_;
  }
  if (std::exchange(trained_stale_, false)) trained_rollout_->refresh();
  return *trained_rollout_;
}

void GrpoTrainer::refresh_reference() {
  const Tensor& flat = model_->weights().flat_weights();
  std::memcpy(reference_weights_->flat_weights().data, flat.data,
              static_cast<size_t>(flat.bytes()));
  reference_->refresh();
}

GrpoStepReport GrpoTrainer::step() {
  GrpoStepReport report;
  const double start = now_seconds();
  refresh_rollout();
  report.rollout_seconds = now_seconds() - start;
  on_policy_ = true;
  const int64_t every = config_.loss.reference_every_steps;
  if (reference_ && every > 0 && position_.step > 0 && position_.step % every == 0)
    refresh_reference();
  SampledGroups sampled = sampler_->sample(position_.sequences);
  for (const AnswerGroup& group : sampled.groups) {
    bool solved = false;
    for (const GroupSample& sample : group.samples) {
      report.answers.add(sample);
      solved |= sample.verdict.correct;
    }
    report.pass_at_k += static_cast<double>(solved) / sampled.groups.size();
    report.varying_groups += group.varies();
  }
  report.groups = static_cast<int64_t>(sampled.groups.size());
  report.answers.finish();
  report.rollout_tokens = sampled.tokens;
  report.rollout_seconds += sampled.rollout_seconds;
  report.judge_seconds = sampled.judge_seconds;
  std::vector<Entry> entries = make_entries(sampled, report);
  update(entries, report);
  report.training_seconds = now_seconds() - start - report.rollout_seconds - report.judge_seconds;
  const int64_t length = std::max<int64_t>(
      1, std::llround(static_cast<double>(sampled.tokens) / report.answers.answers));
  const double forward = forward_flops_per_token(model_->options().model, length, false);
  report.flops =
      forward * static_cast<double>(report.rollout_tokens + report.scored_tokens) +
      model_->flops_per_token(length, false) * static_cast<double>(report.trained_tokens);
  report.samples = std::move(sampled.groups);
  ++position_.step;
  position_.tokens += report.trained_tokens;
  return report;
}

GrpoTrainer::Entry GrpoTrainer::make_entry(const AnswerGroup& group,
                                           const GroupSample& sample) const {
  Entry entry;
  entry.prompt = static_cast<int64_t>(group.prompt.tokens.size());
  entry.tokens = group.prompt.tokens;
  entry.tokens.insert(entry.tokens.end(), sample.answer.tokens.begin(), sample.answer.tokens.end());
  entry.weights.assign(static_cast<size_t>(entry.rows()), 0.0f);
  std::fill(entry.weights.begin() + entry.prompt - 1, entry.weights.end(), 1.0f);
  entry.sequence.advantage = sample.advantage;
  entry.sequence.filtered = config_.loss.overlong_filter && sample.answer.truncated;
  entry.sequence.old = sample.answer.log_probabilities;
  return entry;
}

// With dynamic sampling only groups that vary take part, at most as many as are wanted.
std::vector<GrpoTrainer::Entry> GrpoTrainer::make_entries(const SampledGroups& sampled,
                                                          GrpoStepReport& report) {
  std::vector<Entry> entries;
  std::vector<GivenAnswer> given;
  int64_t left = config_.rollout.dynamic_sampling ? config_.rollout.prompts : report.groups;
  for (const AnswerGroup& group : sampled.groups) {
    if (config_.rollout.dynamic_sampling && !group.varies()) continue;
    if (left-- <= 0) break;
    for (const GroupSample& sample : group.samples) {
      entries.push_back(make_entry(group, sample));
      given.push_back({group.prompt.tokens, sample.answer.tokens});
    }
  }
  if (config_.rollout.mode == RolloutMode::fast) {
    for (Entry& entry : entries) entry.sequence.rollout = entry.sequence.old;
    if (!has_one_update()) {
      auto scores = score(trained_rollout(), given, report);
      for (size_t i = 0; i < entries.size(); ++i) entries[i].sequence.old = std::move(scores[i]);
    }
  }
  if (reference_) {
    auto scores = score(*reference_, given, report);
    for (size_t i = 0; i < entries.size(); ++i)
      entries[i].sequence.reference = std::move(scores[i]);
  }
  return entries;
}

std::vector<std::vector<float>> GrpoTrainer::score(Rollout& model,
                                                   const std::vector<GivenAnswer>& given,
                                                   GrpoStepReport& report) const {
  for (const GivenAnswer& answer : given) report.scored_tokens += answer.rows();
  return model.score(given, config_.rollout.temperature);
}

// Then the update's own forward pass tells log π_old.
bool GrpoTrainer::has_one_update() const {
  return config_.update.epochs == 1 && config_.update.minibatches == 1 &&
         config_.loss.off_policy_threshold <= 0;
}

// Without a KL term an answer without an advantage has no gradient.
bool GrpoTrainer::learns_from(const Entry& entry) const {
  return !entry.sequence.filtered && (reference_ || entry.sequence.advantage != 0);
}

void GrpoTrainer::update(std::vector<Entry>& entries, GrpoStepReport& report) {
  std::vector<Entry*> order;
  order.reserve(entries.size());
  for (Entry& entry : entries) order.push_back(&entry);
  const size_t minibatches = static_cast<size_t>(config_.update.minibatches);
  GrpoSums sums;
  for (int64_t epoch = 0; epoch < config_.update.epochs; ++epoch) {
    Random random(config_.seed ^ hash_name("minibatches"), static_cast<uint64_t>(position_.step),
                  static_cast<uint64_t>(epoch) << 32);
    for (size_t i = order.size(); minibatches > 1 && i > 1; --i)
      std::swap(order[i - 1], order[random.below(i)]);
    for (size_t m = 0; m < minibatches; ++m) {
      const size_t begin = order.size() * m / minibatches;
      const size_t end = order.size() * (m + 1) / minibatches;
      run_minibatch({order.begin() + begin, order.begin() + end}, report, sums);
    }
  }
  const double tokens = static_cast<double>(std::max<int64_t>(1, sums.tokens));
  report.loss = sums.loss / std::max<int64_t>(1, config_.update.epochs * minibatches);
  report.kl = sums.kl / tokens;
  report.clip_fraction = static_cast<double>(sums.clipped) / tokens;
  report.capped_fraction = static_cast<double>(sums.capped) / tokens;
  report.drift = sums.drift / tokens;
  report.largest_drift = sums.largest_drift;
}

void GrpoTrainer::mask_off_policy(std::span<Entry*> minibatch, GrpoStepReport& report) {
  if (config_.loss.off_policy_threshold <= 0) return;
  std::vector<GivenAnswer> given;
  for (const Entry* entry : minibatch) {
    const std::span<const int32_t> tokens(entry->tokens);
    const size_t prompt = static_cast<size_t>(entry->prompt);
    given.push_back({tokens.first(prompt), tokens.subspan(prompt)});
  }
  const auto scores = score(trained_rollout(), given, report);
  for (size_t i = 0; i < minibatch.size(); ++i) {
    GrpoSequence& sequence = minibatch[i]->sequence;
    sequence.masked = is_off_policy(config_.loss, sequence, scores[i]);
    report.masked_answers += sequence.masked;
  }
}

void GrpoTrainer::run_minibatch(std::span<Entry*> minibatch, GrpoStepReport& report,
                                GrpoSums& sums) {
  mask_off_policy(minibatch, report);
  GrpoCounts counts;
  std::vector<Entry*> learning;
  for (Entry* entry : minibatch) {
    counts.add(entry->sequence);
    if (learns_from(*entry)) learning.push_back(entry);
  }
  if (learning.empty()) return;
  const GrpoLoss loss(config_.loss, static_cast<double>(config_.rollout.max_tokens), counts);
  const double loss_before = sums.loss;
  model_->begin_step();
  for (size_t begin = 0, end = 0; begin < learning.size(); begin = end) {
    int64_t rows = 0;
    while (end < learning.size() &&
           rows + learning[end]->rows() <= config_.update.micro_batch_tokens)
      rows += learning[end++]->rows();
    run_micro_batch({learning.begin() + begin, learning.begin() + end}, loss, sums);
    report.trained_tokens += rows;
  }
  const double factor = linear_factor(config_.update.warmup_steps, config_.update.final_factor,
                                      position_.step, config_.steps);
  const UpdateReport done = model_->apply({factor, 0.0, std::isfinite(sums.loss - loss_before)});
  report.gradient_norm = done.gradient_norm;
  report.learning_rate = config_.optimizer.learning_rate * factor;
  report.skipped_updates += done.skipped;
  position_.skipped += done.skipped;
  ++report.updates;
  stale_ = trained_stale_ = true;
  on_policy_ = false;
  position_.updates = model_->updates();
}

void GrpoTrainer::run_micro_batch(std::span<Entry*> entries, const GrpoLoss& loss, GrpoSums& sums) {
  TrainingBatch batch;
  std::vector<std::pair<Entry*, int64_t>> rows;  // an answer and the token predicted
  for (Entry* entry : entries) {
    batch.push_back({entry->rows(), entry->tokens, entry->weights});
    for (int64_t r = 0; r < entry->rows(); ++r) rows.emplace_back(entry, r + 1 - entry->prompt);
  }
  const bool is_exact = config_.rollout.mode == RolloutMode::exact;
  const bool compares = is_exact && on_policy_, keeps_old = !is_exact && has_one_update();
  TargetLogProbability objective(
      batch_rows(batch), config_.rollout.temperature, [&](int64_t row, float log_pi) {
        const auto& [entry, t] = rows[static_cast<size_t>(row)];
        if (keeps_old) entry->sequence.old[static_cast<size_t>(t)] = log_pi;
        if (compares && log_pi != entry->sequence.old[static_cast<size_t>(t)])
          fail(
              "token {} of an answer has log-probability {} in the trainer and {} in the rollout, "
              "expected equal bits; this is an error in Minke, rollout.mode = \"fast\" avoids it",
              t, log_pi, entry->sequence.old[static_cast<size_t>(t)]);
        const double before = sums.loss;
        const double slope = loss.token(entry->sequence, t, log_pi, sums);
        return TokenLoss{static_cast<float>(sums.loss - before), static_cast<float>(slope)};
      });
  model_->forward_backward(batch, objective, {});
}

HeldOutResult GrpoTrainer::evaluate() {
  return test_held_out(*sampler_, trained_rollout(), held_out_, config_.evaluation.temperature);
}

void GrpoTrainer::save() const {
  CheckpointContent content =
      model_->checkpoint_content(run_tokenizer_files(source_, config_.output));
  if (reference_) content.state.emplace_back("reference", reference_weights_->flat_weights());
  save_checkpoint(config_.output, position_, content, config_.checkpoint.keep);
}

void GrpoTrainer::resume(const fs::path& checkpoint) {
  position_ = model_->resume(checkpoint);
  if (reference_) {
    load_checkpoint(checkpoint, {{"reference", reference_weights_->flat_weights()}});
    reference_->refresh();
  }
  stale_ = trained_stale_ = true;
}

}  // namespace minke
