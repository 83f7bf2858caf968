#pragma once
// The teacher's answers to problems of the training split, judged; those that are right become the
// data that a student is fine-tuned on.

#include <functional>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "config/distill_config.h"

namespace minke {

struct SampleCounts {
  int64_t problems = 0, sampled = 0;
  int64_t right = 0;
  int64_t truncated = 0;  // ended by the limit of tokens: never kept
  int64_t unusable = 0;   // of a server: no text
  int64_t judge_failures = 0;
  int64_t duplicates = 0;        // right, and the same as another answer to the problem
  int64_t kept = 0, solved = 0;  // solved: problems with an answer that was kept
  int64_t prompt_tokens = 0, answer_tokens = 0;  // of the teacher
  double flops = 0.0, seconds = 0.0;             // of all answers

  int64_t tokens() const { return prompt_tokens + answer_tokens; }
};
nlohmann::ordered_json to_json(const SampleCounts& counts);

// Leaves RUN/teacher.jsonl, every answer with its verdict, and RUN/samples.jsonl, those to learn
// from. Answers that teacher.jsonl holds already are not asked for again; one that was made with
// other settings is an Error, and so is a teacher without a right answer. progress is called after
// each answer with the counts so far (kept, solved and duplicates are known at the end only).
SampleCounts sample_teacher(const DistillConfig& config,
                            const std::function<void(const SampleCounts&)>& progress);

}  // namespace minke
