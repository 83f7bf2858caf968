#include "post/eval.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "text/utf8.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> style_names = {"plain", "r1_zero", "chat"};

// DeepSeek-R1's table 1, as the prompt of a base model.
std::string r1_zero_prompt(const std::string& question) {
  return "A conversation between User and Assistant. The user asks a question, and the Assistant "
         "solves it. The assistant first thinks about the reasoning process in the mind and then "
         "provides the user with the answer. The reasoning process and answer are enclosed within "
         "<think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning "
         "process here </think> <answer> answer here </answer>. User: " +
         question + ". Assistant: <think>";
}

template <typename Value>
double mean_over_samples(const EvalResult& result, Value&& value) {
  double sum = 0, count = 0;
  for (const EvalProblem& problem : result.problems)
    for (const EvalSample& sample : problem.samples) {
      sum += static_cast<double>(value(sample));
      ++count;
    }
  return count == 0 ? 0 : sum / count;
}

std::vector<double> shares_right(const EvalResult& result) {
  std::vector<double> shares;
  for (const EvalProblem& problem : result.problems)
    shares.push_back(static_cast<double>(problem.right()) /
                     static_cast<double>(problem.samples.size()));
  return shares;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Json problem_json(const EvalProblem& entry) {
  Json samples = Json::array();
  for (const EvalSample& sample : entry.samples)
    samples.push_back({{"text", repair_utf8(sample.text)},
                       {"tokens", sample.tokens},
                       {"truncated", sample.truncated},
                       {"answer", sample.verdict.answer},
                       {"correct", sample.verdict.correct},
                       {"formatted", sample.verdict.formatted},
                       {"failed", sample.verdict.failed},
                       {"reward", sample.verdict.reward},
                       {"note", sample.verdict.note}});
  return {{"id", entry.problem.id},
          {"hash", fmt::format("{:016x}", entry.problem.hash())},
          {"prompt", entry.problem.prompt},
          {"put", entry.put},
          {"answer", entry.problem.answer},
          {"details", entry.problem.details},
          {"samples", samples}};
}

}  // namespace

PromptStyle parse_prompt_style(std::string_view name) {
  for (size_t i = 0; i < style_names.size(); ++i)
    if (style_names[i] == name) return static_cast<PromptStyle>(i);
  fail_usage("unknown prompt style '{}', expected plain, r1_zero or chat", name);
}

Prompt make_prompt(const Problem& problem, PromptStyle style, const Tokenizer& tokenizer,
                   const ChatTemplate* chat_template) {
  const bool is_chat = style == PromptStyle::chat;
  require(!is_chat || chat_template != nullptr, "a chat prompt without a template");
  return make_prompt(
      style == PromptStyle::r1_zero ? r1_zero_prompt(problem.prompt) : problem.prompt, tokenizer,
      is_chat ? chat_template : nullptr);
}

int64_t EvalProblem::right() const {
  return std::count_if(samples.begin(), samples.end(),
                       [](const EvalSample& sample) { return sample.verdict.correct; });
}

double EvalResult::pass_at_1() const { return mean(shares_right(*this)); }

Interval EvalResult::pass_at_1_interval(uint64_t seed) const {
  constexpr int64_t resamples = 2000;
  return bootstrap_mean(shares_right(*this), resamples, seed);
}

double EvalResult::pass_at(int64_t k) const {
  double sum = 0;
  for (const EvalProblem& problem : problems)
    sum += pass_at_k(static_cast<int64_t>(problem.samples.size()), problem.right(), k);
  return sum / static_cast<double>(problems.size());
}

double EvalResult::majority() const {
  double right = 0;
  for (const EvalProblem& problem : problems) {
    std::vector<std::string> answers;
    for (const EvalSample& sample : problem.samples) answers.push_back(sample.verdict.answer);
    const int64_t chosen = majority_vote(answers);
    right += chosen >= 0 && problem.samples[static_cast<size_t>(chosen)].verdict.correct;
  }
  return right / static_cast<double>(problems.size());
}

double EvalResult::mean_reward() const {
  return mean_over_samples(*this, [](const EvalSample& s) { return s.verdict.reward; });
}
double EvalResult::mean_tokens() const {
  return mean_over_samples(*this, [](const EvalSample& s) { return s.tokens; });
}
double EvalResult::formatted_share() const {
  return mean_over_samples(*this, [](const EvalSample& s) { return s.verdict.formatted; });
}
double EvalResult::truncated_share() const {
  return mean_over_samples(*this, [](const EvalSample& s) { return s.truncated; });
}
double EvalResult::failed_share() const {
  return mean_over_samples(*this, [](const EvalSample& s) { return s.verdict.failed; });
}

EvalResult evaluate(Engine& engine, const Tokenizer& tokenizer, const ChatTemplate* chat_template,
                    std::span<const Problem> problems, Reward& reward, const EvalOptions& options) {
  EvalResult result;
  for (const Problem& problem : problems)
    result.problems.push_back(
        {problem, "", std::vector<EvalSample>(static_cast<size_t>(options.samples))});
  for (EvalProblem& entry : result.problems) {
    const Prompt prompt = make_prompt(entry.problem, options.style, tokenizer, chat_template);
    entry.put = repair_utf8(tokenizer.decode(prompt.tokens));
    uint64_t number = 0;
    for (EvalSample& sample : entry.samples) {
      sample.text = prompt.prefix;
      Request request;
      request.prompt = prompt.tokens;
      request.sampling = options.sampling;
      request.sampling.seed = mix64(mix64(options.sampling.seed ^ entry.problem.hash()) + number++);
      request.max_tokens = options.max_tokens;
      request.stop = options.stop;
      request.stop_tokens = prompt.stop_tokens;
      request.skip_special = false;  // the tags of thinking are part of what is judged
      request.on_tokens = [&sample](const TokenEvent& event) {
        if (event.finish == FinishReason::error) fail("{}", event.error);
        sample.text += event.text;
        sample.tokens += static_cast<int64_t>(event.tokens.size());
        sample.truncated = event.finish == FinishReason::length;
      };
      engine.submit(std::move(request));
    }
  }
  while (engine.step()) continue;
  for (EvalProblem& entry : result.problems)
    for (EvalSample& sample : entry.samples)
      sample.verdict =
          reward.judge(entry.problem, Response(sample.text, sample.tokens, sample.truncated));
  return result;
}

Json to_json(const EvalResult& result, const EvalOptions& options, bool samples) {
  const Interval interval = result.pass_at_1_interval(options.sampling.seed);
  Json json = {{"problems", result.problems.size()},
               {"samples_per_problem", options.samples},
               {"pass_at_1", result.pass_at_1()},
               {"pass_at_1_low", interval.low},
               {"pass_at_1_high", interval.high}};
  for (int64_t k = 2; k <= options.samples; k *= 2)
    json[fmt::format("pass_at_{}", k)] = result.pass_at(k);
  if (options.samples > 1) json["majority"] = result.majority();
  json["mean_reward"] = result.mean_reward();
  json["mean_tokens"] = result.mean_tokens();
  json["formatted"] = result.formatted_share();
  json["truncated"] = result.truncated_share();
  json["judge_failed"] = result.failed_share();
  json["sampling"] = {{"temperature", options.sampling.temperature},
                      {"top_p", options.sampling.top_p},
                      {"top_k", options.sampling.top_k},
                      {"max_tokens", options.max_tokens},
                      {"stop", options.stop},
                      {"seed", options.sampling.seed},
                      {"prompt", style_names[static_cast<size_t>(options.style)]}};
  if (!samples) return json;
  json["results"] = Json::array();
  for (const EvalProblem& entry : result.problems) json["results"].push_back(problem_json(entry));
  return json;
}

}  // namespace minke
