#include "post/distill_student.h"

#include "base/machine.h"

namespace minke {
namespace {

std::optional<ChatTemplate> chat_of(const DistillConfig& config, const ModelSource& source,
                                    const Tokenizer& tokenizer) {
  if (!config.rollout.chat) return std::nullopt;
  return source.chat_template(tokenizer);
}

RolloutOptions rollout_options(const DistillConfig& config, const ModelSource& source,
                               const TrainableModel& model) {
  const int64_t longest = config.rollout.max_prompt_tokens + config.rollout.max_tokens;
  if (longest > source.config().max_position_embeddings)
    fail_usage(
        "rollout.max_prompt_tokens and rollout.max_tokens are {} together, but {} handles {}",
        longest, source.where(), source.config().max_position_embeddings);
  RolloutOptions options{config.rollout.max_prompt_tokens, config.rollout.max_tokens,
                         config.rollout.sequences};
  options.memory_bytes = machine().memory_bytes - model.memory_plan().total();
  return options;
}

GrpoRolloutConfig sampled(const DistillConfig& config) {
  GrpoRolloutConfig rollout;
  rollout.prompts = config.on_policy.prompts;
  rollout.group = config.on_policy.group;
  rollout.temperature = config.on_policy.temperature;
  rollout.max_prompt_tokens = config.rollout.max_prompt_tokens;
  return rollout;
}

}  // namespace

Student::Student(const DistillConfig& config, const TrainableModel& model, bool resuming)
    : config_(config),
      source_(ModelSource::open(config.model)),
      tokenizer_(source_.tokenizer()),
      chat_(chat_of(config, source_, tokenizer_)),
      task_(make_task(config.task)),
      reward_(make_reward(config.reward, config.sandbox)),
      judge_(*reward_, fs::path(config.output) / "verdicts.jsonl", resuming),
      weights_(model.weights()),
      rollout_(model.options().model, weights_, model.compute(), tokenizer_,
               rollout_options(config, source_, model)),
      sampler_({sampled(config), AdvantageScale::none, config.seed, config.task.on_bad_sample,
                [this](const Problem& problem) { return prompt(problem); }},
               *task_, judge_, rollout_),
      held_out_(sampler_.usable(distinct_problems(
          *task_, TaskSplit::test, static_cast<uint64_t>(config.evaluation.problems)))) {}

Prompt Student::prompt(const Problem& problem) const {
  return make_prompt(fill_template(config_.rollout.prompt_template, problem), tokenizer_,
                     chat_ ? &*chat_ : nullptr);
}

HeldOutResult Student::evaluate() {
  rollout_.refresh();
  return test_held_out(sampler_, rollout_, held_out_, config_.evaluation.temperature);
}

SampledGroups Student::sample(int64_t& next_problem) {
  rollout_.refresh();
  return sampler_.sample(next_problem);
}

}  // namespace minke
