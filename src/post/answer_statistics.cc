#include "post/answer_statistics.h"

#include <algorithm>

#include "base/machine.h"
#include "text/special_tokens.h"

namespace minke {

using Json = nlohmann::ordered_json;

void AnswerStatistics::add(const GroupSample& sample) {
  const Answer& answer = sample.answer;
  ++answers;
  reward += sample.verdict.reward;
  pass_at_1 += sample.verdict.correct;
  formatted += sample.verdict.formatted;
  judge_failures += sample.verdict.failed;
  truncated += answer.truncated;
  thinks += answer.text.find(special::think_end) != std::string::npos;
  length += static_cast<double>(answer.size());
  for (const float log_probability : answer.log_probabilities) entropy -= log_probability;
}

void AnswerStatistics::finish() {
  entropy /= std::max(1.0, length);
  for (double* sum : {&reward, &pass_at_1, &formatted, &truncated, &thinks, &length})
    *sum /= static_cast<double>(std::max<int64_t>(1, answers));
}

Json to_json(const AnswerStatistics& s) {
  return {{"reward", s.reward},       {"pass_at_1", s.pass_at_1},
          {"formatted", s.formatted}, {"truncated", s.truncated},
          {"thinks", s.thinks},       {"length", s.length},
          {"entropy", s.entropy},     {"judge_failures", s.judge_failures}};
}

constexpr size_t most_examples = 6;

HeldOutResult test_held_out(GroupSampler& sampler, Rollout& model,
                            const std::vector<Problem>& problems, double temperature) {
  const double start = now_seconds();
  HeldOutResult result;
  result.temperature = temperature;
  const std::vector<GroupSample> samples = sampler.answer(problems, model, temperature);
  for (size_t i = 0; i < samples.size(); ++i) {
    result.sampled.add(samples[i]);
    if (i < most_examples)
      result.examples.push_back({problems[i].prompt, problems[i].answer, samples[i].answer.text,
                                 samples[i].verdict.correct});
  }
  for (const GroupSample& sample : sampler.answer(problems, model, 0.0)) result.greedy.add(sample);
  result.sampled.finish();
  result.greedy.finish();
  result.seconds = now_seconds() - start;
  return result;
}

Json to_json(const HeldOutResult& result) {
  Json examples = Json::array();
  for (const HeldOutExample& e : result.examples)
    examples.push_back(
        {{"prompt", e.prompt}, {"answer", e.answer}, {"text", e.text}, {"correct", e.correct}});
  return {{"held_out", to_json(result.sampled)},  {"greedy", to_json(result.greedy)},
          {"problems", result.sampled.answers},   {"temperature", result.temperature},
          {"evaluation_seconds", result.seconds}, {"examples", std::move(examples)}};
}

std::string describe(const HeldOutResult& result) {
  return fmt::format(
      "{:.1f} % of {} right at temperature {} ({:.1f} % greedy); {:.0f} % think; {:.1f} tokens",
      100 * result.sampled.pass_at_1, result.sampled.answers, result.temperature,
      100 * result.greedy.pass_at_1, 100 * result.sampled.thinks, result.sampled.length);
}

}  // namespace minke
