#pragma once
// Teachers whose answers a student learns from: a model on disk of any architecture and with any
// tokenizer, or one behind a server. Text is all that passes over.

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "config/distill_config.h"
#include "post/problem.h"

namespace minke {

struct TeacherQuestion {
  const Problem* problem;  // lives until answer() returns
  uint64_t seed;           // the same seed gives the same answer of a model on disk
};

struct TeacherAnswer {
  std::string text;  // the prefix included
  int64_t prompt_tokens = 0, tokens = 0;
  bool truncated = false;  // it ended by the limit of tokens
  double flops = 0.0;      // of both
  std::string fault;       // why it cannot be used; "": it can
};

// Not thread-safe.
class Teacher {
 public:
  virtual ~Teacher() = default;
  // Calls take(index, answer) once for each question as its answer comes, in any order and never
  // twice at a time. A prompt that is too long, and a server that cannot be reached or refuses the
  // request, are Errors; what was taken before stays taken.
  using Take = std::function<void(size_t index, const TeacherAnswer& answer)>;
  virtual void answer(std::span<const TeacherQuestion> questions, const Take& take) = 0;
};

// The recipe's teacher. A model on disk is loaded here.
std::unique_ptr<Teacher> make_teacher(const DistillConfig& config);
std::unique_ptr<Teacher> make_served_teacher(const DistillConfig& config);

}  // namespace minke
