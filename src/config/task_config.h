#pragma once
// Tasks with checkable answers and the rewards for them, as recipes hold them: sections [task] and
// [reward]. post/task.h and post/reward.h say what they do.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace minke {

// How a problem is put: as text to go on with ("048+293="), as a question in words, or as text with
// spaces ("48 + 293 =", arithmetic and chains; bare elsewhere).
enum class PromptForm { bare, words, spaced };

// What to do with a sample that cannot be used, or a judge that fails: count it, log it with the
// sample and go on; or stop with an Error.
enum class FailureAction { go_on, stop };

// [task]. Of each family the parameters that its row in docs/tasks.md names have a meaning.
struct TaskConfig {
  std::string families = "addition";  // "addition", or several with weights: "chain:2, countdown"
  uint64_t seed = 1;
  double held_out = 0.1;  // share of all problems that is the test split; as much for validation
  PromptForm form = PromptForm::bare;

  int64_t min_digits = 3, max_digits = 3;  // of operands, largest coefficients, given numbers
  bool fixed_width = true;                 // operands with leading zeros to max_digits
  int64_t min_carries = 0, max_carries = 64;
  int64_t min_steps = 2, max_steps = 3;  // operations of a chain, given numbers of countdown less 1
  int64_t min_items = 3, max_items = 5;  // words to sort or to count, people of a puzzle

  std::string path;       // jsonl: the problems
  std::string test_path;  // jsonl: those of the test split; empty: by hash out of `path`
  std::string question_field, answer_field;  // jsonl; empty: those of GSM8K and MATH
  FailureAction on_bad_sample = FailureAction::go_on;
};

// How an answer is compared with the problem's; by_task: as the problem says.
enum class AnswerCheck { by_task, exact, numeric, countdown, code, command };

// Where in a response the answer stands. by_task: in the last \boxed{} or <answer> if there is one,
// otherwise what follows </think>, otherwise the whole response.
enum class AnswerPlace { by_task, whole, after_think, boxed, tag, last_number };

// think: <think>…</think> and then an answer; think_answer: <think>…</think><answer>…</answer>.
enum class FormatRule { none, think, think_answer };

// [reward]. The reward is accuracy_weight · right + format_weight · formatted
// + language_weight · share of words in the language's script + overlong_weight · (−1 to 0).
struct RewardConfig {
  AnswerCheck check = AnswerCheck::by_task;
  AnswerPlace place = AnswerPlace::by_task;
  double accuracy_weight = 1.0;
  double wrong_reward = 0.0;  // for an answer that is there and wrong (TinyZero's countdown: 0.1)
  FormatRule format = FormatRule::none;
  double format_weight = 0.0;
  std::string language = "en";
  double language_weight = 0.0;
  double overlong_weight = 0.0;
  int64_t overlong_max = 0;    // tokens: longer answers get −1
  int64_t overlong_cache = 0;  // tokens before that over which it falls from 0 to −1
  std::string command;         // check = command: a program that reads JSON lines
  double command_seconds = 10.0;
  FailureAction on_failure = FailureAction::go_on;
  std::string failure_log;  // JSON lines: each sample whose judge failed
};

// [sandbox]: the limits of a program that checks code.
struct SandboxConfig {
  std::string python = "/usr/bin/python3", cxx = "/usr/bin/g++";
  double cpu_seconds = 5.0, wall_seconds = 10.0;
  int64_t memory_mib = 512;  // of all processes together
  int64_t processes = 16;
  int64_t open_files = 64;
  int64_t file_mib = 16;     // of all files that it writes
  int64_t output_kib = 256;  // of stdout and stderr each
};

// [text]: text of tasks for pre-training, by authors of mixed quality. The shares add up to 1.
struct TaskTextConfig {
  int64_t samples = 100000;
  uint64_t seed = 1;
  double worked = 0.18;      // right, with the working shown
  double slips = 0.10;       // with a slip in the working
  double right = 0.12;       // right, without working
  double wrong = 0.50;       // wrong, without working
  double cut_off = 0.10;     // working that ends in the middle
  int64_t per_document = 1;  // samples of a document, a line each
  bool completions = false;  // JSON lines of prompt and completion, for `minke sft`
};

// The sections that `minke data tasks` and `minke eval --task` read.
struct TaskSettings {
  TaskConfig task;
  RewardConfig reward;
  SandboxConfig sandbox;
  TaskTextConfig text;
};

// From TOML and overrides "task.max_digits=4". Unknown keys, wrong types and values out of bounds
// are usage Errors that name file, line and key.
TaskSettings parse_task_settings(const std::string& toml, const std::string& where,
                                 const std::vector<std::string>& overrides);
// All keys of [task], [reward] and [sandbox] with their values, a section an object.
nlohmann::ordered_json to_json(const TaskSettings& settings);
// All keys as Markdown tables: docs/task-settings.md.
std::string describe_task_settings();

}  // namespace minke
