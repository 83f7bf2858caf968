#include "post/jsonl_task.h"

#include <array>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "post/answer.h"

namespace minke {
namespace {

// The first of the fields that is text; nothing where there is none.
std::optional<std::string> text_field(const nlohmann::json& object, const std::string& asked,
                                      std::initializer_list<const char*> usual) {
  std::vector<std::string> names(usual.begin(), usual.end());
  if (!asked.empty()) names = {asked};
  for (const std::string& name : names) {
    const auto found = object.find(name);
    if (found == object.end()) continue;
    if (found->is_string()) return found->get<std::string>();
    if (found->is_number()) return found->dump();
  }
  return std::nullopt;
}

std::string final_answer(const std::string& solution) {
  if (const std::string_view boxed = last_boxed(solution); !boxed.empty())
    return std::string(boxed);
  return std::string(find_answer(solution, AnswerPlace::by_task));
}

// Words with single spaces: the same question whatever its line breaks.
std::string normalised(const std::string& text) {
  std::istringstream stream(text);
  std::string words;
  for (std::string word; stream >> word;)
    words += fmt::format("{}{}", words.empty() ? "" : " ", word);
  return words;
}

// The problem of one line, or in `wrong` why there is none.
std::optional<Problem> read_problem(const std::string& line, const TaskConfig& config,
                                    std::string& wrong) {
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  wrong = "it is no JSON object";
  if (!object.is_object()) return std::nullopt;
  const auto question =
      text_field(object, config.question_field, {"question", "problem", "prompt"});
  wrong = "it has no question";
  if (!question || normalised(*question).empty()) return std::nullopt;
  Problem problem;
  problem.task = "jsonl";
  problem.prompt = *question;
  problem.key = normalised(*question);
  if (const auto tests = text_field(object, "tests", {})) {
    problem.check = ProblemCheck::code;
    problem.details = {{"tests", *tests},
                       {"language", text_field(object, "language", {}).value_or("python")}};
    return problem;
  }
  const auto answer = text_field(object, config.answer_field, {"answer", "solution"});
  wrong = "it has no answer";
  if (!answer) return std::nullopt;
  problem.answer = final_answer(*answer);
  problem.check = ProblemCheck::numeric;
  if (problem.answer.empty()) return std::nullopt;
  return problem;
}

std::vector<Problem> read_problems(const fs::path& path, const TaskConfig& config) {
  std::istringstream lines(read_file(path));
  std::vector<Problem> problems;
  int64_t number = 0, bad = 0;
  std::string wrong;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (auto problem = read_problem(line, config, wrong)) {
      problem->id = fmt::format("{}:{}", path.filename().string(), number);
      problems.push_back(*std::move(problem));
      continue;
    }
    constexpr size_t shown_bytes = 200;
    const std::string what =
        fmt::format("{}:{}: {}: {}", path.string(), number, wrong, line.substr(0, shown_bytes));
    if (config.on_bad_sample == FailureAction::stop) fail_usage("{}", what);
    warn("{}", what);
    ++bad;
  }
  if (bad > 0) warn("{}: {} of {} lines could not be used", path.string(), bad, number);
  if (problems.empty()) fail_usage("{}: no line of it has a question and an answer", path.string());
  return problems;
}

class JsonlTask : public Task {
 public:
  explicit JsonlTask(const TaskConfig& config) {
    std::set<uint64_t> tests;
    if (!config.test_path.empty())
      for (Problem& problem : read_problems(config.test_path, config)) {
        tests.insert(problem.hash());
        add(TaskSplit::test, std::move(problem));
      }
    int64_t left_out = 0;
    for (Problem& problem : read_problems(config.path, config)) {
      TaskSplit split = split_of(problem, config.held_out);
      if (!tests.empty() && split == TaskSplit::test) split = TaskSplit::train;
      if (tests.contains(problem.hash()))
        ++left_out;
      else
        add(split, std::move(problem));
    }
    if (left_out > 0)
      warn("{}: {} problems are in the test file too and left out", config.path, left_out);
  }

  std::string_view name() const override { return "jsonl"; }
  std::optional<uint64_t> size(TaskSplit split) const override { return of(split).size(); }
  Problem problem(TaskSplit split, uint64_t index) const override {
    const std::vector<Problem>& problems = of(split);
    require(index < problems.size(), "problem {} of {}", index, problems.size());
    return problems[index];
  }

 private:
  const std::vector<Problem>& of(TaskSplit split) const {
    return problems_[static_cast<size_t>(split)];
  }
  void add(TaskSplit split, Problem problem) {
    problems_[static_cast<size_t>(split)].push_back(std::move(problem));
  }

  std::array<std::vector<Problem>, 3> problems_;
};

}  // namespace

std::unique_ptr<Task> make_jsonl_task(const TaskConfig& config) {
  if (config.path.empty()) fail_usage("task jsonl: task.path is missing, the file of problems");
  return std::make_unique<JsonlTask>(config);
}

}  // namespace minke
