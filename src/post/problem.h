#pragma once
// post/: what comes after pre-training: tasks with checkable answers, rewards, the sandbox,
// rollouts, supervised fine-tuning, reinforcement learning, distillation, evaluation. It joins
// train/ and infer/, which do not know each other.
//
// This header: one problem.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace minke {

// How a problem's answer is to be checked; RewardConfig::check can say otherwise.
enum class ProblemCheck { exact, numeric, countdown, code };

struct Problem {
  std::string task;    // the family: "addition"
  std::string id;      // where it comes from: "addition/train/17", "gsm8k.jsonl:12"
  std::string prompt;  // what the model reads, without any template
  std::string
      answer;  // the right answer as the family writes it; empty where there is no single one
  ProblemCheck check = ProblemCheck::exact;
  // What a check needs beside the answer: {"numbers": [...], "target": n} of countdown,
  // {"language": ..., "tests": ...} of code.
  nlohmann::json details;
  // What makes it the same problem as another, whatever its wording: "48+293" for 293+048 too.
  std::string key;

  // Of task and key; the same on every machine and for every seed.
  uint64_t hash() const;
};

}  // namespace minke
