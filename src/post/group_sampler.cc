#include "post/group_sampler.h"

#include <algorithm>

#include "base/machine.h"
#include "base/random.h"
#include "post/grpo_loss.h"

namespace minke {
namespace {

Verdict judge_answer(VerdictJournal& judge, uint64_t name, const Problem& problem,
                     const Answer& answer) {
  return judge.judge(name, problem, Response(answer.text, answer.size(), answer.truncated));
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

std::string fill_template(const std::string& prompt_template, const Problem& problem) {
  std::string text = prompt_template;
  return text.replace(text.find("{}"), 2, problem.prompt);
}

std::vector<int32_t> prompt_tokens(const Problem& problem, const std::string& prompt_template,
                                   const Tokenizer& tokenizer, const ChatTemplate* chat) {
  std::string text = fill_template(prompt_template, problem);
  if (!chat) return tokenizer.encode(text, {tokenizer.adds_bos()});
  ChatMessage message;
  message.role = "user";
  message.content = std::move(text);
  return chat->render(tokenizer, {&message, 1}, {});
}

GroupSampler::GroupSampler(GroupSamplerOptions options, const Task& task, VerdictJournal& judge,
                           Rollout& rollout)
    : options_(std::move(options)), task_(task), judge_(judge), rollout_(rollout) {}

AnswerGroup GroupSampler::start_group(int64_t problem_index) const {
  const auto size = task_.size(TaskSplit::train);
  const uint64_t index = static_cast<uint64_t>(problem_index);
  AnswerGroup group;
  group.problem = task_.problem(TaskSplit::train, size ? index % *size : index);
  group.prompt = options_.prompt(group.problem);
  if (static_cast<int64_t>(group.prompt.size()) > options_.rollout.max_prompt_tokens)
    fail("the prompt of {} has {} tokens, rollout.max_prompt_tokens is {}; raise it",
         group.problem.id, group.prompt.size(), options_.rollout.max_prompt_tokens);
  group.samples.resize(static_cast<size_t>(options_.rollout.group));
  return group;
}

void GroupSampler::answer_groups(std::span<AnswerGroup> groups, int64_t first_problem,
                                 SampledGroups& all) {
  std::vector<RolloutRequest> requests;
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t i = 0; i < groups[g].samples.size(); ++i)
      requests.push_back({groups[g].prompt,
                          sample_name(options_.seed, first_problem + static_cast<int64_t>(g), i)});
  const double start = now_seconds();
  std::vector<Answer> answers = rollout_.sample(requests, options_.rollout.temperature);
  all.rollout_seconds += now_seconds() - start;
  size_t next = 0;
  for (AnswerGroup& group : groups) {
    std::vector<double> rewards;
    for (GroupSample& sample : group.samples) {
      sample.answer = std::move(answers[next]);
      sample.verdict = judge_answer(judge_, requests[next].seed, group.problem, sample.answer);
      rewards.push_back(sample.verdict.reward);
      all.tokens += static_cast<int64_t>(group.prompt.size()) + sample.answer.size();
      ++next;
    }
    const auto advantages = group_advantages(rewards, options_.advantage_scale);
    for (size_t i = 0; i < advantages.size(); ++i) group.samples[i].advantage = advantages[i];
  }
  all.judge_seconds += now_seconds() - start;
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
  all.judge_seconds -= all.rollout_seconds;
  return all;
}

std::vector<GroupSample> GroupSampler::answer(const std::vector<Problem>& problems,
                                              double temperature) {
  constexpr uint64_t stream = hash_name("held out");
  std::vector<std::vector<int32_t>> prompts;
  prompts.reserve(problems.size());
  for (const Problem& problem : problems) prompts.push_back(options_.prompt(problem));
  std::vector<RolloutRequest> requests;
  for (size_t i = 0; i < prompts.size(); ++i)
    requests.push_back({prompts[i], Random(options_.seed, stream, i).next()});
  std::vector<Answer> answers = rollout_.sample(requests, temperature);
  std::vector<GroupSample> samples(problems.size());
  for (size_t i = 0; i < problems.size(); ++i) {
    samples[i].answer = std::move(answers[i]);
    samples[i].verdict = judge_answer(judge_, requests[i].seed, problems[i], samples[i].answer);
  }
  return samples;
}

}  // namespace minke
