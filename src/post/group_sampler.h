#pragma once
// A step's groups: problems from a task, answers from the rollout, verdicts, advantages.

#include <functional>
#include <vector>

#include "config/grpo_config.h"
#include "post/rollout.h"
#include "post/task.h"
#include "post/verdict_journal.h"
#include "text/chat_template.h"

namespace minke {

struct GroupSample {
  Answer answer;
  Verdict verdict;
  double advantage = 0.0;
};

// One problem and its answers.
struct AnswerGroup {
  Problem problem;
  std::vector<int32_t> prompt;
  std::vector<GroupSample> samples;

  // Whether there is something to learn from: not all rewards are equal.
  bool varies() const;
};

// A problem's prompt in a template, where it stands for {}.
std::string fill_template(const std::string& prompt_template, const Problem& problem);
// The text that the model reads of a problem, as tokens: a user's turn of the chat template if
// there is one, otherwise with BOS in front where the tokenizer adds it.
std::vector<int32_t> prompt_tokens(const Problem& problem, const std::string& prompt_template,
                                   const Tokenizer& tokenizer, const ChatTemplate* chat);

// The name of an answer among all of a run, and its seed.
uint64_t sample_name(uint64_t seed, int64_t problem, size_t sample);

struct SampledGroups {
  std::vector<AnswerGroup> groups;
  int64_t tokens = 0;  // of prompts and answers
  double rollout_seconds = 0.0, judge_seconds = 0.0;
};

struct GroupSamplerOptions {
  GrpoRolloutConfig rollout;
  AdvantageScale advantage_scale = AdvantageScale::deviation;
  uint64_t seed = 1;
  std::function<std::vector<int32_t>(const Problem&)> prompt;  // as the model reads it
};

// Not thread-safe. What it is made of must outlive it.
class GroupSampler {
 public:
  GroupSampler(GroupSamplerOptions options, const Task& task, VerdictJournal& judge,
               Rollout& rollout);

  // Groups of the training problems from `next_problem` on, which is advanced. With dynamic
  // sampling there are further rounds until rollout.prompts groups vary, or for max_rounds; then
  // some groups may not vary, and there may be more than rollout.prompts.
  SampledGroups sample(int64_t& next_problem);

  // One answer to each problem, the same random numbers each time; without advantages.
  std::vector<GroupSample> answer(const std::vector<Problem>& problems, double temperature);

 private:
  AnswerGroup start_group(int64_t problem_index) const;
  void answer_groups(std::span<AnswerGroup> groups, int64_t first_problem, SampledGroups& all);

  GroupSamplerOptions options_;
  const Task& task_;
  VerdictJournal& judge_;
  Rollout& rollout_;
};

}  // namespace minke
