#pragma once
// What is said of a set of answers: figures of a step, or of a test on held-out problems.

#include <nlohmann/json.hpp>

#include "post/group_sampler.h"

namespace minke {

// Means over a set of answers.
struct AnswerStatistics {
  int64_t answers = 0;
  double reward = 0.0;
  double pass_at_1 = 0.0;  // right ones
  double formatted = 0.0;
  double truncated = 0.0;  // ended by the limit of tokens
  double thinks = 0.0;     // have a thinking span that ends
  double length = 0.0;     // tokens
  double entropy = 0.0;    // nats for each token: the mean of −log π of the samples
  int64_t judge_failures = 0;

  void add(const GroupSample& sample);
  void finish();  // sums to means
};

nlohmann::ordered_json to_json(const AnswerStatistics& statistics);

// A problem of a test with its sample, for a person to read.
struct HeldOutExample {
  std::string prompt, answer, text;
  bool correct = false;
};

// A test on held-out problems: one sample of each at a temperature, and greedy ones beside it.
struct HeldOutResult {
  std::vector<HeldOutExample> examples;  // the first problems, always the same ones
  AnswerStatistics sampled, greedy;
  double temperature = 1.0;
  double seconds = 0.0;
};
HeldOutResult test_held_out(GroupSampler& sampler, Rollout& model,
                            const std::vector<Problem>& problems, double temperature);
// A line of metrics.jsonl without its step and bill.
nlohmann::ordered_json to_json(const HeldOutResult& result);
// The same in words, for the log.
std::string describe(const HeldOutResult& result);

}  // namespace minke
