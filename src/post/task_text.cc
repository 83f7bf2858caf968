#include "post/task_text.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_set>

#include "base/error.h"
#include "post/families.h"
#include "post/reward.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

std::array<double, 5> shares(const TaskTextConfig& config) {
  return {config.worked, config.slips, config.right, config.wrong, config.cut_off};
}

Author draw_author(const TaskTextConfig& config, Random& random) {
  const std::array<double, 5> share = shares(config);
  double place = random.uniform();
  size_t author = 0;
  while (author + 1 < share.size() && place >= share[author]) place -= share[author++];
  return static_cast<Author>(author);
}

// The right answer with one character of it changed: a digit to another, a sign of an expression to
// another.
std::string spoiled(std::string answer, Random& random) {
  std::vector<size_t> places;
  for (size_t i = 0; i < answer.size(); ++i)
    if ((answer[i] >= '0' && answer[i] <= '9') || answer[i] == '+' || answer[i] == '*')
      places.push_back(i);
  require(!places.empty(), "the answer '{}' has nothing to spoil", answer);
  char& c = answer[places[random.below(places.size())]];
  c = c == '+'   ? '*'
      : c == '*' ? '+'
                 : static_cast<char>('0' + (c - '0' + 1 + static_cast<int>(random.below(9))) % 10);
  return answer;
}

// A wrong answer. Of an expression, a change may leave the value as it was (2*2 for 2+2), and of a
// number only its leading zero: then another is drawn.
std::string wrong_answer(const Problem& problem, Reward& reward, Random& random) {
  constexpr int attempts = 64;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const std::string answer = spoiled(problem.answer, random);
    if (!reward.judge(problem, answer).correct) return answer;
  }
  fail("task {}: no wrong answer to '{}' was found", problem.task, problem.prompt);
}

std::string in_thinking(const std::string& working) {
  return fmt::format("{}{}{}", special::think_begin, working, special::think_end);
}

std::string answer_text(const Problem& problem, Author author, Random& random) {
  const auto work = find_family(problem.task).work;
  const auto reward = make_reward({});
  switch (author) {
    case Author::right:
      return problem.answer;
    case Author::wrong:
      return wrong_answer(problem, *reward, random);
    case Author::slips: {
      const Worked worked = work(problem, &random);
      return in_thinking(worked.working) + worked.answer;
    }
    default:
      break;
  }
  const Worked worked = work(problem, nullptr);
  if (author == Author::worked) return in_thinking(worked.working) + worked.answer;
  const size_t length = 1 + random.below(std::max<size_t>(1, worked.working.size()));
  return fmt::format("{}{}", special::think_begin, worked.working.substr(0, length));
}

// What `minke sft` reads.
std::string completion_line(const TaskText& sample) {
  const std::string& prompt = sample.problem.prompt;
  return nlohmann::ordered_json{{"prompt", prompt},
                                {"completion", sample.text.substr(prompt.size())},
                                {"parse_special", true}}
      .dump();
}

// The prompts of the first held-out problems as a test puts them: they are looked for in the text
// itself, so that what no hash sees is found too.
std::unordered_set<std::string> held_out_prompts(const TaskConfig& config) {
  constexpr uint64_t looked_for = 500;
  const auto task = make_task(config);
  std::unordered_set<std::string> prompts;
  for (const TaskSplit split : {TaskSplit::validation, TaskSplit::test})
    for (const Problem& problem : distinct_problems(*task, split, looked_for))
      prompts.insert(problem.prompt);
  return prompts;
}

void check(const TaskConfig& task, const TaskTextConfig& config) {
  if (config.completions && config.per_document != 1)
    fail_usage("text.per_document is {}, but completions stand on a line each: expected 1",
               config.per_document);
  const std::array<double, 5> share = shares(config);
  const double sum = std::accumulate(share.begin(), share.end(), 0.0);
  if (std::abs(sum - 1) > 1e-6) fail_usage("[text]: the authors' shares add up to {}, not 1", sum);
  for (const std::string& name : family_names(task))
    if (!find_family(name).work)
      fail_usage("task {} has no working to show, so that there is no text of it", name);
}

}  // namespace

TaskText make_task_text(const Task& task, const TaskTextConfig& config, uint64_t index) {
  Random random(config.seed, hash_name("authors"), index << 16);
  const Author author = draw_author(config, random);
  TaskText sample{"", task.problem(TaskSplit::train, index), author};
  sample.text = sample.problem.prompt + answer_text(sample.problem, author, random);
  return sample;
}

TaskTextSummary write_task_text(const TaskConfig& task_config, const TaskTextConfig& config,
                                const std::function<void(const std::string& document)>& use) {
  check(task_config, config);
  TaskConfig seeded = task_config;
  seeded.seed = mix64(task_config.seed) ^ config.seed;  // other problems than training's first ones
  const auto task = make_task(seeded);
  const std::unordered_set<std::string> held_out = held_out_prompts(task_config);
  TaskTextSummary summary;
  std::unordered_set<uint64_t> hashes;
  std::string document;
  for (int64_t i = 0; i < config.samples; ++i) {
    const TaskText sample = make_task_text(*task, config, static_cast<uint64_t>(i));
    ++summary.samples[static_cast<size_t>(sample.author)];
    if (hashes.insert(sample.problem.hash()).second)
      summary.held_out_problems += held_out.contains(sample.problem.prompt);
    document += (document.empty() ? "" : "\n");
    document += config.completions ? completion_line(sample) : sample.text;
    if ((i + 1) % config.per_document != 0 && i + 1 < config.samples) continue;
    summary.bytes += static_cast<int64_t>(document.size());
    ++summary.documents;
    use(document);
    document.clear();
  }
  summary.distinct_problems = static_cast<int64_t>(hashes.size());
  if (summary.held_out_problems > 0)
    fail(
        "{} problems of the text have a held-out problem's prompt: a chain of one step is an "
        "addition; set task.min_steps to 2 or more",
        summary.held_out_problems);
  return summary;
}

}  // namespace minke
