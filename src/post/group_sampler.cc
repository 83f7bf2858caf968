#include "post/group_sampler.h"

#include <algorithm>

#include "base/log.h"
#include "base/machine.h"
#include "base/random.h"
#include "post/grpo_loss.h"

namespace minke {
namespace {

GroupSample judge_answer(VerdictJournal& judge, uint64_t name, const Problem& problem,
                         const Prompt& prompt, Answer answer) {
  answer.text.insert(0, prompt.prefix);
  const Response response(answer.text, answer.size(), answer.truncated);
  Verdict verdict = judge.judge(name, problem, response);
  return {std::move(answer), std::move(verdict)};
}

}  // namespace

uint64_t sample_name(uint64_t seed, int64_t problem, size_t sample) {
  return Random(seed, static_cast<uint64_t>(problem), sample).next();
}

bool AnswerGroup::varies() const {
  return std::any_of(samples.begin(), samples.end(), [&](const GroupSample& sample) {
    return sample.verdict.reward != samples[0].verdict.reward;
  });
}

GroupSampler::GroupSampler(GroupSamplerOptions options, const Task& task, VerdictJournal& judge,
                           Rollout& rollout)
    : options_(std::move(options)), task_(task), judge_(judge), rollout_(rollout) {
  check_training_problems();
}

void GroupSampler::check_training_problems() {
  const auto size = task_.size(TaskSplit::train);
  if (!size) return;
  if (*size == 0)
    fail_usage(
        "task {}: the train split has no problems; give it more of them or a smaller held_out",
        task_.name());
  for (uint64_t index = 0; index < *size; ++index)
    if (fits(task_.problem(TaskSplit::train, index))) usable_.push_back(index);
  if (usable_.empty())
    fail_usage(
        "task {}: no training problem has a prompt of at most rollout.max_prompt_tokens = {}",
        task_.name(), options_.rollout.max_prompt_tokens);
}

bool GroupSampler::fits(const Problem& problem) const {
  const size_t tokens = options_.prompt(problem).tokens.size();
  if (static_cast<int64_t>(tokens) <= options_.rollout.max_prompt_tokens) return true;
  const std::string what =
      fmt::format("the prompt of {} has {} tokens, rollout.max_prompt_tokens is {}", problem.id,
                  tokens, options_.rollout.max_prompt_tokens);
  if (options_.on_long_prompt == FailureAction::stop) fail_usage("{}; raise it", what);
  warn("{}; it is left out", what);
  return false;
}

std::vector<Problem> GroupSampler::usable(std::vector<Problem> problems) const {
  std::erase_if(problems, [this](const Problem& problem) { return !fits(problem); });
  return problems;
}

AnswerGroup GroupSampler::start_group(int64_t problem_index) const {
  const uint64_t index = static_cast<uint64_t>(problem_index);
  AnswerGroup group;
  group.problem =
      task_.problem(TaskSplit::train, usable_.empty() ? index : usable_[index % usable_.size()]);
  group.prompt = options_.prompt(group.problem);
  const size_t tokens = group.prompt.tokens.size();
  if (static_cast<int64_t>(tokens) > options_.rollout.max_prompt_tokens)
    fail("the prompt of {} has {} tokens, rollout.max_prompt_tokens is {}; raise it",
         group.problem.id, tokens, options_.rollout.max_prompt_tokens);
  group.samples.resize(static_cast<size_t>(options_.rollout.group));
  return group;
}

void GroupSampler::answer_groups(std::span<AnswerGroup> groups, int64_t first_problem,
                                 SampledGroups& all) {
  std::vector<RolloutRequest> requests;
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t i = 0; i < groups[g].samples.size(); ++i)
      requests.push_back({groups[g].prompt.tokens,
                          sample_name(options_.seed, first_problem + static_cast<int64_t>(g), i),
                          groups[g].prompt.stop_tokens});
  const double start = now_seconds();
  std::vector<Answer> answers = rollout_.sample(requests, options_.rollout.temperature);
  const double sampled = now_seconds();
  size_t next = 0;
  for (AnswerGroup& group : groups) {
    std::vector<double> rewards;
    for (GroupSample& sample : group.samples) {
      sample = judge_answer(judge_, requests[next].seed, group.problem, group.prompt,
                            std::move(answers[next]));
      rewards.push_back(sample.verdict.reward);
      all.tokens += static_cast<int64_t>(group.prompt.tokens.size()) + sample.answer.size();
      ++next;
    }
    const auto advantages = group_advantages(rewards, options_.advantage_scale);
    for (size_t i = 0; i < advantages.size(); ++i) group.samples[i].advantage = advantages[i];
  }
  all.rollout_seconds += sampled - start;
  all.judge_seconds += now_seconds() - sampled;
}

SampledGroups GroupSampler::sample(int64_t& next_problem) {
  SampledGroups all;
  const int64_t wanted = options_.rollout.prompts;
  int64_t rounds = options_.rollout.dynamic_sampling ? options_.rollout.max_rounds : 1, vary = 0;
  for (; rounds > 0 && vary < wanted; --rounds) {
    std::vector<AnswerGroup> groups;
    for (int64_t p = 0; p < wanted - vary; ++p) groups.push_back(start_group(next_problem + p));
    answer_groups(groups, next_problem, all);
    next_problem += static_cast<int64_t>(groups.size());
    for (AnswerGroup& group : groups) {
      vary += group.varies();
      all.groups.push_back(std::move(group));
    }
  }
  return all;
}

std::vector<GroupSample> GroupSampler::answer(const std::vector<Problem>& problems, Rollout& model,
                                              double temperature) {
  constexpr uint64_t stream = hash_name("held out");
  std::vector<Prompt> prompts;
  prompts.reserve(problems.size());
  for (const Problem& problem : problems) prompts.push_back(options_.prompt(problem));
  std::vector<RolloutRequest> requests;
  for (size_t i = 0; i < prompts.size(); ++i)
    requests.push_back(
        {prompts[i].tokens, Random(options_.seed, stream, i).next(), prompts[i].stop_tokens});
  std::vector<Answer> answers = model.sample(requests, temperature);
  std::vector<GroupSample> samples;
  samples.reserve(problems.size());
  for (size_t i = 0; i < problems.size(); ++i)
    samples.push_back(
        judge_answer(judge_, requests[i].seed, problems[i], prompts[i], std::move(answers[i])));
  return samples;
}

}  // namespace minke
