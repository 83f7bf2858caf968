#include "post/task.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "base/error.h"
#include "base/files.h"
#include "post/families.h"

namespace minke {
namespace {

TEST(Task, ProblemsAreAFunctionOfSeedSplitAndIndex) {
  TaskConfig config;
  const auto task = make_task(config), again = make_task(config);
  EXPECT_EQ(task->problem(TaskSplit::train, 7).prompt, again->problem(TaskSplit::train, 7).prompt);
  EXPECT_NE(task->problem(TaskSplit::train, 7).key, task->problem(TaskSplit::train, 8).key);
  config.seed = 2;
  EXPECT_NE(task->problem(TaskSplit::train, 7).key,
            make_task(config)->problem(TaskSplit::train, 7).key);
}

TEST(Task, SplitsShareNoProblemWhateverTheSeedAndTheForm) {
  TaskConfig config;
  config.min_digits = 1;
  config.max_digits = 2;
  std::set<std::string> keys[3];
  for (const uint64_t seed : {1, 2}) {
    config.seed = seed;
    config.form = seed == 1 ? PromptForm::bare : PromptForm::words;
    const auto task = make_task(config);
    for (const TaskSplit split : {TaskSplit::train, TaskSplit::validation, TaskSplit::test})
      for (uint64_t i = 0; i < 2000; ++i)
        keys[static_cast<size_t>(split)].insert(task->problem(split, i).key);
  }
  for (const std::string& key : keys[0])
    EXPECT_FALSE(keys[1].contains(key) || keys[2].contains(key));
  for (const std::string& key : keys[1]) EXPECT_FALSE(keys[2].contains(key));
  EXPECT_GT(keys[2].size(), 100u);
}

TEST(Task, AdditionHasFixedWidthAndTheCarriesAskedFor) {
  TaskConfig config;
  config.min_digits = 1;
  config.min_carries = config.max_carries = 2;
  const auto task = make_task(config);
  for (uint64_t i = 0; i < 200; ++i) {
    const Problem problem = task->problem(TaskSplit::train, i);
    ASSERT_EQ(problem.prompt.size(), 8u) << problem.prompt;
    const int64_t a = std::stol(problem.prompt.substr(0, 3)),
                  b = std::stol(problem.prompt.substr(4, 3));
    EXPECT_EQ(problem.answer, std::to_string(a + b));
    int64_t carries = 0;
    for (const int64_t unit : {10, 100, 1000}) carries += a % unit + b % unit >= unit;
    EXPECT_EQ(carries, 2) << problem.prompt;
  }
}

TEST(Task, WhatCannotBeIsSaidAtOnce) {
  TaskConfig config;
  config.min_digits = config.max_digits = 1;
  config.min_carries = 2;
  EXPECT_THROW(make_task(config), Error);  // no sum of two digits has two carries
  config = {};
  config.families = "addition, adition";
  EXPECT_THROW(make_task(config), Error);
  config.families = "addition:-1";
  EXPECT_THROW(make_task(config), Error);
  config = {};
  config.min_digits = 4;
  EXPECT_THROW(make_task(config), Error);
}

TEST(Task, FamiliesComeByTheirWeights) {
  TaskConfig config;
  config.families = "addition:3, subtraction";
  const auto task = make_task(config);
  int64_t additions = 0;
  for (uint64_t i = 0; i < 1000; ++i)
    additions += task->problem(TaskSplit::train, i).task == "addition";
  EXPECT_NEAR(static_cast<double>(additions), 750, 50);
}

TEST(Task, DistinctProblemsDiffer) {
  TaskConfig config;
  config.min_digits = config.max_digits = 1;
  const std::vector<Problem> problems = distinct_problems(*make_task(config), TaskSplit::test, 100);
  std::set<std::string> keys;
  for (const Problem& problem : problems) keys.insert(problem.key);
  EXPECT_EQ(keys.size(), problems.size());
  EXPECT_LT(problems.size(), 20u);  // a tenth of 55 sums
}

TEST(Task, WorkingLeadsToTheAnswerUnlessItSlips) {
  TaskConfig config;
  config.min_digits = 1;
  config.families = "addition, subtraction, multiplication";
  const auto task = make_task(config);
  int64_t slips = 0;
  for (uint64_t i = 0; i < 500; ++i) {
    const Problem problem = task->problem(TaskSplit::train, i);
    const Family& family = find_family(problem.task);
    EXPECT_EQ(family.work(problem, nullptr).answer, problem.answer) << problem.prompt;
    Random random(i);
    slips += family.work(problem, &random).answer != problem.answer;
  }
  EXPECT_GT(slips, 450);
}

TEST(Task, WorkingIsWrittenDigitByDigit) {
  Problem problem;
  problem.details = {{"a", 48}, {"b", 293}, {"width", 1}};
  EXPECT_EQ(work_addition(problem, nullptr).working, "8+3=11 4+9+1=14 0+2+1=3");
  problem.details["width"] = 3;
  EXPECT_EQ(work_addition(problem, nullptr).working, "8+3+0=11 4+9+1=14 0+2+1=03");
  problem.details = {{"a", 293}, {"b", 48}, {"width", 1}};
  EXPECT_EQ(work_subtraction(problem, nullptr).working, "13-8=5 9-4-1=4 2-0=2");
  problem.details["width"] = 3;
  EXPECT_EQ(work_subtraction(problem, nullptr).working, "13-8-0=5 09-4-1=4 02-0-0=2");
  problem.details = {{"a", 48}, {"b", 93}, {"width", 1}};
  EXPECT_EQ(work_multiplication(problem, nullptr).working, "48*3=144 48*90=4320 144+4320=4464");
}

// A file of problems that is gone with its test.
struct ProblemFile {
  explicit ProblemFile(const std::string& text)
      : path(fs::temp_directory_path() / fmt::format("minke-problems-{}.jsonl", getpid())) {
    write_file(path, text);
  }
  ~ProblemFile() { fs::remove(path); }
  fs::path path;
};

TEST(JsonlTask, ReadsTheFormsOfGsm8kAndMath) {
  std::string text = R"({"question": "a", "answer": "So 40 + 2.\n#### 42"})"
                     "\n"
                     R"({"problem": "b", "solution": "Thus $\\boxed{\\frac{1}{2}}$."})"
                     "\n"
                     R"({"question": "c", "answer": 7})"
                     "\n"
                     R"({"question": "d", "tests": "assert f(1) == 2"})"
                     "\n"
                     R"({"question": "no answer"})"
                     "\nnot json\n";
  const ProblemFile file(text);
  TaskConfig config;
  config.families = "jsonl";
  config.path = file.path;
  const auto task = make_task(config);
  std::set<std::string> answers;
  uint64_t problems = 0;
  for (const TaskSplit split : {TaskSplit::train, TaskSplit::validation, TaskSplit::test})
    for (uint64_t i = 0; i < *task->size(split); ++i, ++problems)
      answers.insert(task->problem(split, i).answer);
  EXPECT_EQ(problems, 4u);
  EXPECT_EQ(answers, (std::set<std::string>{"42", "\\frac{1}{2}", "7", ""}));
  config.on_bad_sample = FailureAction::stop;
  EXPECT_THROW(make_task(config), Error);
}

TEST(JsonlTask, WhatIsInTheTestFileIsNotTrainedOn) {
  const ProblemFile file(
      "{\"question\": \"a  b\", \"answer\": \"1\"}\n{\"question\": \"c\", "
      "\"answer\": \"2\"}\n");
  const fs::path tests = file.path.string() + ".test";
  write_file(tests, "{\"question\": \"a b\", \"answer\": \"1\"}\n");
  TaskConfig config;
  config.families = "jsonl";
  config.path = file.path;
  config.test_path = tests;
  const auto task = make_task(config);
  EXPECT_EQ(task->size(TaskSplit::test), 1u);
  EXPECT_EQ(*task->size(TaskSplit::train) + *task->size(TaskSplit::validation), 1u);
  fs::remove(tests);
}

}  // namespace
}  // namespace minke
