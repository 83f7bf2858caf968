#pragma once
// Evaluation: samples of a model's answers to held-out problems, judged, with everything kept that
// someone else needs to check the score.

#include <nlohmann/json.hpp>
#include <vector>

#include "infer/engine.h"
#include "post/prompt.h"
#include "post/reward.h"
#include "post/statistics.h"
#include "post/task.h"

namespace minke {

// How a problem becomes a prompt: its text alone; in R1-Zero's template, which ends in <think>; as
// a user's turn of the model's chat template.
enum class PromptStyle { plain, r1_zero, chat };
PromptStyle parse_prompt_style(std::string_view name);  // another name is a usage Error

// chat_template: for PromptStyle::chat only.
Prompt make_prompt(const Problem& problem, PromptStyle style, const Tokenizer& tokenizer,
                   const ChatTemplate* chat_template);

struct EvalOptions {
  EvalOptions() { sampling.temperature = sampling.top_p = 1; }  // the model as it is

  int64_t samples = 1;  // of each problem
  SamplingOptions sampling;
  int64_t max_tokens = 256;
  PromptStyle style = PromptStyle::plain;
  std::vector<std::string> stop;
};

struct EvalSample {
  std::string text;  // with the prompt's prefix
  int64_t tokens = 0;
  bool truncated = false;
  Verdict verdict;
};

struct EvalProblem {
  Problem problem;
  std::string put;  // the prompt as the model read it, decoded
  std::vector<EvalSample> samples;

  int64_t right() const;
};

struct EvalResult {
  std::vector<EvalProblem> problems;

  // Mean share of right samples, and its interval over problems.
  double pass_at_1() const;
  Interval pass_at_1_interval(uint64_t seed) const;
  double pass_at(int64_t k) const;  // k at most the samples of a problem
  double majority() const;          // share of problems whose majority answer is right
  double mean_reward() const;
  double mean_tokens() const;
  double formatted_share() const;
  double truncated_share() const;
  double failed_share() const;  // of the judge
};

// Each sample has a seed of its own, a function of sampling.seed, problem and number, so that a
// result does not depend on what else is sampled. The model behind the engine must have room for a
// prompt and max_tokens; a prompt that is too long is a usage Error.
EvalResult evaluate(Engine& engine, const Tokenizer& tokenizer, const ChatTemplate* chat_template,
                    std::span<const Problem> problems, Reward& reward, const EvalOptions& options);

// Figures, and with `samples` every problem, prompt, answer and verdict.
nlohmann::ordered_json to_json(const EvalResult& result, const EvalOptions& options, bool samples);

}  // namespace minke
