#pragma once
// Text of tasks for pre-training: problems of the training split as authors of mixed quality would
// write them. A model that has read it works problems out rarely and answers them at once often,
// and mostly wrongly: reinforcement learning can then find the habit that pays.
//
// A sample is "048+293=<think>8+3+0=11 4+9+1=14 0+2+1=03</think>341"; without working,
// "048+293=341". One that is cut off ends inside of its working.

#include <array>
#include <functional>
#include <string>

#include "post/task.h"

namespace minke {

enum class Author { worked, slips, right, wrong, cut_off };
inline constexpr std::array<std::string_view, 5> author_names = {"worked", "slips", "right",
                                                                 "wrong", "cut_off"};

struct TaskText {
  std::string text;
  Problem problem;
  Author author;
};

struct TaskTextSummary {
  std::array<int64_t, 5> samples{};  // by author
  int64_t documents = 0, bytes = 0;
  int64_t distinct_problems = 0;  // by hash
  // Of those, with the prompt of one of the first 500 validation or test problems: 0, or an Error.
  int64_t held_out_problems = 0;
};

// Sample `index`: a pure function of settings and index.
TaskText make_task_text(const Task& task, const TaskTextConfig& config, uint64_t index);

// Calls use(document) for each document of the text. Shares that do not add up to 1 and families
// without working are usage Errors; a held-out problem in the text is an Error.
TaskTextSummary write_task_text(const TaskConfig& task, const TaskTextConfig& config,
                                const std::function<void(const std::string& document)>& use);

}  // namespace minke
