#pragma once
// A step's groups: problems from a task, answers from the rollout, verdicts, advantages.

#include <functional>
#include <vector>

#include "config/grpo_config.h"
#include "post/prompt.h"
#include "post/rollout.h"
#include "post/task.h"
#include "post/verdict_journal.h"

namespace minke {

struct GroupSample {
  Answer answer;  // its text begins with the prompt's prefix
  Verdict verdict;
  double advantage = 0.0;
};

// One problem and its answers.
struct AnswerGroup {
  Problem problem;
  Prompt prompt;
  std::vector<GroupSample> samples;

  // Whether there is something to learn from: not all rewards are equal.
  bool varies() const;
};

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
  FailureAction on_long_prompt = FailureAction::go_on;  // of a problem in a file: leave it out
  std::function<Prompt(const Problem&)> prompt;
};

// Not thread-safe. What it is made of must outlive it.
class GroupSampler {
 public:
  // A task without training problems is a usage Error, and so is one that has an end and no prompt
  // within max_prompt_tokens. Where the task has no end, such a prompt is an Error when it comes.
  GroupSampler(GroupSamplerOptions options, const Task& task, VerdictJournal& judge,
               Rollout& rollout);

  // Groups of the training problems from `next_problem` on, which is advanced. With dynamic
  // sampling there are further rounds until rollout.prompts groups vary, or for max_rounds; then
  // some groups may not vary, and there may be more than rollout.prompts.
  SampledGroups sample(int64_t& next_problem);

  // The problems whose prompts are not too long; one that is too long is left out with a warning,
  // or a usage Error, as on_long_prompt says.
  std::vector<Problem> usable(std::vector<Problem> problems) const;

  // One answer of `model` to each problem, the same random numbers each time; without advantages.
  std::vector<GroupSample> answer(const std::vector<Problem>& problems, Rollout& model,
                                  double temperature);

 private:
  void check_training_problems();
  bool fits(const Problem& problem) const;
  AnswerGroup start_group(int64_t problem_index) const;
  void answer_groups(std::span<AnswerGroup> groups, int64_t first_problem, SampledGroups& all);

  GroupSamplerOptions options_;
  const Task& task_;
  VerdictJournal& judge_;
  Rollout& rollout_;
  std::vector<uint64_t> usable_;  // training problems of a task that has an end
};

}  // namespace minke
