#pragma once
// Problems from JSON lines: GSM8K's form (question, answer that ends in "#### 42"), MATH's
// (problem, solution with \boxed{}), plain (question, answer), and code: question, tests, language
// ("python" or "cpp"): `tests` is source text that is put after the answer and fails where that is
// wrong.

#include "post/task.h"

namespace minke {

// The problems of config.path (and test_path). A line that is no JSON object or lacks a field is
// counted and logged with its text, or an Error, as on_bad_sample says; a file without a usable
// line is a usage Error. Training problems that are in test_path too are left out.
std::unique_ptr<Task> make_jsonl_task(const TaskConfig& config);

}  // namespace minke
