#pragma once
// Tasks: families of problems with answers that a program can check.
//
// What must hold: a problem is a pure function of (settings, split, index). A problem belongs to
// one split by its hash alone, whatever the seed, the difficulty or the wording, so that the same
// numbers never occur in two splits. The family is a part of the hash: a chain of one step and an
// addition can have the same prompt in different splits, so mix them with min_steps of 2 or more.

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "config/task_config.h"
#include "post/problem.h"

namespace minke {

enum class TaskSplit { train, validation, test };
std::string_view split_name(TaskSplit split);
TaskSplit parse_split(std::string_view name);  // another name is a usage Error

// The split that a problem belongs to: the lowest `held_out` share of all hashes is the test
// split, the share above that is validation.
TaskSplit split_of(const Problem& problem, double held_out);

// Immutable and thread-safe.
class Task {
 public:
  virtual ~Task() = default;
  virtual std::string_view name() const = 0;
  // Indices below size(), where there is one. Problems of different indices may be the same.
  virtual Problem problem(TaskSplit split, uint64_t index) const = 0;
  // The number of problems; nothing where there is no end of them.
  virtual std::optional<uint64_t> size(TaskSplit split) const = 0;
};

// The task of these settings. Unknown families, parameters that no problem satisfies and files that
// cannot be used are usage Errors.
std::unique_ptr<Task> make_task(const TaskConfig& config);

// The first `count` problems of a split that differ by hash; fewer where the task has no more.
std::vector<Problem> distinct_problems(const Task& task, TaskSplit split, uint64_t count);

}  // namespace minke
