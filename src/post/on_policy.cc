#include "post/on_policy.h"

#include <algorithm>
#include <cmath>

#include "base/machine.h"
#include "model/convert.h"
#include "plan/flops.h"
#include "post/sft.h"
#include "train/schedule.h"

namespace minke {
namespace {

TrainableOptions trainable_options(const DistillConfig& config, const ModelConfig& model) {
  TrainableOptions options;
  options.model = model;
  options.compute = config.compute;
  options.optimizer = config.optimizer;
  options.tokens = config.on_policy.micro_batch_tokens;
  options.max_positions = config.rollout.max_prompt_tokens + config.rollout.max_tokens;
  options.seed = config.seed;
  return options;
}

// Room for a micro-batch of any answers: each takes whole pages.
LoadOptions teacher_options(const DistillConfig& config) {
  const int64_t rows = config.on_policy.micro_batch_tokens;
  const int64_t answers = std::min(config.on_policy.prompts * config.on_policy.group, rows);
  LoadOptions load;
  load.max_tokens = config.rollout.max_prompt_tokens + config.rollout.max_tokens;
  load.cache_tokens = (pages_of(rows) + answers) * page_tokens;
  load.batch_tokens = load.batch_logits = rows;
  return load;
}

SftExample answer_of(const AnswerGroup& group, const GroupSample& sample) {
  SftExample example;
  example.tokens = group.prompt.tokens;
  example.tokens.insert(example.tokens.end(), sample.answer.tokens.begin(),
                        sample.answer.tokens.end());
  example.weights.assign(example.tokens.size() - 1, 0.0f);
  std::fill(example.weights.begin() + static_cast<int64_t>(group.prompt.tokens.size()) - 1,
            example.weights.end(), 1.0f);
  return example;
}

// An Error unless each id is the same token in both.
void check_same_tokens(const Tokenizer& student, const Tokenizer& teacher,
                       const std::string& teacher_name) {
  constexpr const char* advice =
      "on_policy compares distributions over the same tokens; method = \"samples\" takes any "
      "tokenizer";
  if (student.vocab_size() != teacher.vocab_size())
    fail_usage("{} has {} tokens, the student has {}; {}", teacher_name, teacher.vocab_size(),
               student.vocab_size(), advice);
  for (int32_t id = 0; id < student.vocab_size(); ++id)
    if (student.token_bytes(id) != teacher.token_bytes(id) ||
        student.is_special(id) != teacher.is_special(id))
      fail_usage("token {} is '{}' in {} and '{}' in the student; {}", id, teacher.token_bytes(id),
                 teacher_name, student.token_bytes(id), advice);
  if (student.eos_id() != teacher.eos_id())
    fail_usage("{} ends its texts with token {}, the student with {}; {}", teacher_name,
               teacher.eos_id().value_or(-1), student.eos_id().value_or(-1), advice);
}

ModelSource open_teacher(const DistillConfig& config, const ModelConfig& student,
                         const Tokenizer& tokenizer) {
  ModelSource source = ModelSource::open(config.teacher.model);
  check_same_tokens(tokenizer, source.tokenizer(), source.where());
  if (source.config().vocab_size != student.vocab_size)
    fail_usage(
        "{} has logits of {} tokens, the student of {} (vocab_size); on_policy needs as many, "
        "method = \"samples\" does not",
        source.where(), source.config().vocab_size, student.vocab_size);
  return source;
}

}  // namespace

TeacherLogits::TeacherLogits(const DistillConfig& config, const ModelConfig& student,
                             const Tokenizer& tokenizer)
    : source_(open_teacher(config, student, tokenizer)),
      model_(source_.config(), source_, teacher_options(config)) {}

void TeacherLogits::read(const std::vector<const SftExample*>& answers) {
  const double start = now_seconds();
  std::vector<GivenAnswer> given;
  answer_rows_.clear();
  flops_ = 0;
  int32_t row = 0;
  for (const SftExample* answer : answers) {
    const std::span<const int32_t> tokens(answer->tokens);
    const auto first = std::find(answer->weights.begin(), answer->weights.end(), 1.0f);
    const size_t prompt = static_cast<size_t>(first - answer->weights.begin()) + 1;
    given.push_back({tokens.first(prompt), tokens.subspan(prompt)});
    for (const float weight : answer->weights) {
      if (weight > 0) answer_rows_.push_back(row);
      ++row;
    }
    flops_ += static_cast<double>(answer->rows()) *
              forward_flops_per_token(model_.config(), answer->rows(), false);
  }
  const AnswerPass pass(given, model_.pages());
  logits_ = model_.forward(pass.tokens, pass.segments, pass.logit_rows);
  seconds_ = now_seconds() - start;
}

Tensor TeacherLogits::rows(std::span<const int32_t> wanted) const {
  const auto first = std::lower_bound(answer_rows_.begin(), answer_rows_.end(), wanted.front());
  const size_t left = static_cast<size_t>(answer_rows_.end() - first);
  require(wanted.size() <= left && std::equal(wanted.begin(), wanted.end(), first),
          "rows {} to {} of the student are not {} rows of the teacher", wanted.front(),
          wanted.back(), wanted.size());
  return {logits_.row<float>(first - answer_rows_.begin()),
          DType::f32,
          {static_cast<int64_t>(wanted.size()), logits_.columns()}};
}

OnPolicyTrainer::OnPolicyTrainer(const DistillConfig& config, Group& group, bool resuming)
    : config_(config), source_(ModelSource::open(config.model)) {
  model_ = std::make_unique<TrainableModel>(trainable_options(config_, source_.config()), group);
  model_->load(source_);
  student_ = std::make_unique<Student>(config_, *model_, resuming);
  teacher_ =
      std::make_unique<TeacherLogits>(config_, model_->options().model, student_->tokenizer());
}

// The student's answers to the step's problems.
std::vector<SftExample> OnPolicyTrainer::sample() {
  last_ = {};
  const SampledGroups sampled = student_->sample(position_.sequences);
  std::vector<SftExample> answers;
  for (const AnswerGroup& group : sampled.groups)
    for (const GroupSample& sample : group.samples) {
      last_.answers.add(sample);
      answers.push_back(answer_of(group, sample));
    }
  last_.answers.finish();
  last_.rollout_tokens = sampled.tokens;
  last_.rollout_seconds = sampled.rollout_seconds;
  last_.judge_seconds = sampled.judge_seconds;
  return answers;
}

// The gradients of the mean divergence; returns that.
double OnPolicyTrainer::train(const std::vector<SftExample>& answers, int64_t answer_tokens) {
  std::vector<const SftExample*> all;
  all.reserve(answers.size());
  for (const SftExample& answer : answers) all.push_back(&answer);
  const double share = 1.0 / static_cast<double>(answer_tokens);
  ReverseKl objective(share, config_.on_policy.temperature,
                      [this](std::span<const int32_t> rows) { return teacher_->rows(rows); });
  double sum = 0;
  auto next = all.begin();
  for (const TrainingBatch& batch : micro_batches(all, config_.on_policy.micro_batch_tokens)) {
    const auto end = next + static_cast<int64_t>(batch.size());
    teacher_->read({next, end});
    next = end;
    last_.teacher_flops += teacher_->flops();
    last_.teacher_seconds += teacher_->seconds();
    sum += model_->forward_backward(batch, objective, {}).main;
  }
  return sum * share;
}

StepReport OnPolicyTrainer::step() {
  const double start = now_seconds();
  const std::vector<SftExample> answers = sample();
  int64_t answer_tokens = 0;
  for (const SftExample& answer : answers) {
    last_.trained_tokens += answer.rows();
    for (const float weight : answer.weights) answer_tokens += weight > 0;
  }
  StepReport report;
  report.sequences = static_cast<int64_t>(answers.size());
  model_->begin_step();
  report.loss = train(answers, answer_tokens);
  const OnPolicyConfig& settings = config_.on_policy;
  const double factor =
      linear_factor(settings.warmup_steps, settings.final_factor, position_.step, settings.steps);
  const UpdateReport update = model_->apply({factor, 0.0, std::isfinite(report.loss)});
  report.learning_rate = config_.optimizer.learning_rate * factor;
  report.gradient_norm = update.gradient_norm;
  report.skipped = update.skipped;
  const double length = static_cast<double>(last_.rollout_tokens) / report.sequences;
  constexpr int64_t training_passes = 3;  // forward, and twice as much arithmetic backward
  const int64_t passes = last_.rollout_tokens + training_passes * last_.trained_tokens;
  report.flops = last_.teacher_flops +
                 static_cast<double>(passes) *
                     forward_flops_per_token(model_->options().model,
                                             std::max<int64_t>(1, std::llround(length)), false);
  last_.training_seconds =
      now_seconds() - start - last_.rollout_seconds - last_.judge_seconds - last_.teacher_seconds;
  ++position_.step;
  position_.tokens += last_.trained_tokens;
  position_.updates = model_->updates();
  position_.skipped += report.skipped;
  return report;
}

void OnPolicyTrainer::save() const {
  save_checkpoint(config_.output, position_,
                  model_->checkpoint_content(run_tokenizer_files(source_, config_.output)),
                  config_.checkpoint.keep);
}

}  // namespace minke
