#include "post/task.h"

#include <array>
#include <set>

#include "base/error.h"
#include "post/families.h"
#include "post/jsonl_task.h"

namespace minke {
namespace {

constexpr std::array<std::string_view, 3> split_names = {"train", "validation", "test"};

struct Share {
  const Family* family;
  double weight;
};

class GeneratedTask : public Task {
 public:
  explicit GeneratedTask(const TaskConfig& config, std::vector<Share> shares)
      : config_(config), shares_(std::move(shares)), name_(config.families) {
    for (const Share& share : shares_) total_ += share.weight;
    for (const Share& share : shares_)
      for (const TaskSplit split : {TaskSplit::train, TaskSplit::validation, TaskSplit::test})
        draw(*share.family, split, 0);  // says at once where no problem is possible
  }

  std::string_view name() const override { return name_; }
  std::optional<uint64_t> size(TaskSplit) const override { return std::nullopt; }

  Problem problem(TaskSplit split, uint64_t index) const override {
    double place = Random(config_.seed, hash_name("family"), index).uniform() * total_;
    size_t chosen = 0;
    while (chosen + 1 < shares_.size() && place >= shares_[chosen].weight)
      place -= shares_[chosen++].weight;
    return draw(*shares_[chosen].family, split, index);
  }

 private:
  // The first of a row of independent draws that the settings and the split allow.
  Problem draw(const Family& family, TaskSplit split, uint64_t index) const {
    constexpr uint64_t attempts = 100000;
    const uint64_t stream = mix64(hash_name(family.name)) + static_cast<uint64_t>(split);
    for (uint64_t attempt = 0; attempt < attempts; ++attempt) {
      Random random(mix64(config_.seed) ^ index, mix64(stream) ^ attempt);
      std::optional<Problem> problem = family.make(config_, random);
      if (!problem || split_of(*problem, config_.held_out) != split) continue;
      problem->id = fmt::format("{}/{}/{}", family.name, split_name(split), index);
      return *std::move(problem);
    }
    fail_usage(
        "task {}: none of {} problems drawn belongs to the {} split and satisfies the parameters; "
        "allow more of them (digits, carries, steps, items) or a larger held_out",
        family.name, attempts, split_name(split));
  }

  TaskConfig config_;
  std::vector<Share> shares_;
  std::string name_;
  double total_ = 0;
};

void check_range(std::string_view what, int64_t low, int64_t high) {
  if (low > high) fail_usage("task: min_{} is {}, more than max_{} = {}", what, low, what, high);
}

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string_view::npos ? "" : std::string(text.substr(begin, end - begin + 1));
}

double parse_weight(const std::string& text, std::string_view families) {
  char* end = nullptr;
  const double weight = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(weight > 0) || weight > 1e6)
    fail_usage("task.families is \"{}\": '{}' is no weight, expected a number above 0", families,
               text);
  return weight;
}

// "chain:2, countdown"
std::vector<Share> parse_families(std::string_view text) {
  std::vector<Share> shares;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const size_t colon = part.find(':');
    const double weight =
        colon == part.npos ? 1.0 : parse_weight(trimmed(part.substr(colon + 1)), text);
    shares.push_back({&find_family(trimmed(part.substr(0, colon))), weight});
    begin = end + 1;
  }
  return shares;
}

}  // namespace

std::string_view split_name(TaskSplit split) { return split_names[static_cast<size_t>(split)]; }

TaskSplit parse_split(std::string_view name) {
  for (size_t i = 0; i < split_names.size(); ++i)
    if (split_names[i] == name) return static_cast<TaskSplit>(i);
  fail_usage("unknown split '{}', expected train, validation or test", name);
}

TaskSplit split_of(const Problem& problem, double held_out) {
  const double place = static_cast<double>(problem.hash() >> 11) * 0x1p-53;  // [0, 1)
  if (place < held_out) return TaskSplit::test;
  return place < 2 * held_out ? TaskSplit::validation : TaskSplit::train;
}

const std::vector<Family>& all_families() {
  static const std::vector<Family> families = {
      {"addition", make_addition, work_addition},
      {"subtraction", make_subtraction, work_subtraction},
      {"multiplication", make_multiplication, work_multiplication},
      {"chain", make_chain, work_chain},
      {"equation", make_equation, work_equation},
      {"countdown", make_countdown, work_countdown},
      {"sorting", make_sorting, nullptr},
      {"word_count", make_word_count, nullptr},
      {"letter_count", make_letter_count, nullptr},
      {"truth_tellers", make_truth_tellers, nullptr},
      {"ordering", make_ordering, nullptr},
  };
  return families;
}

const Family& find_family(std::string_view name) {
  std::string names;
  for (const Family& family : all_families()) {
    if (family.name == name) return family;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", family.name);
  }
  fail_usage("unknown task '{}', expected jsonl alone or some of {}", name, names);
}

std::vector<std::string> family_names(const TaskConfig& config) {
  std::vector<std::string> names;
  for (const Share& share : parse_families(config.families)) names.emplace_back(share.family->name);
  return names;
}

std::unique_ptr<Task> make_task(const TaskConfig& config) {
  check_range("digits", config.min_digits, config.max_digits);
  check_range("carries", config.min_carries, config.max_carries);
  check_range("steps", config.min_steps, config.max_steps);
  check_range("items", config.min_items, config.max_items);
  if (trimmed(config.families) == "jsonl") return make_jsonl_task(config);
  return std::make_unique<GeneratedTask>(config, parse_families(config.families));
}

std::vector<Problem> distinct_problems(const Task& task, TaskSplit split, uint64_t count) {
  constexpr uint64_t tries_each = 50;  // a small family repeats itself
  const uint64_t last = task.size(split).value_or(count * tries_each);
  std::vector<Problem> problems;
  std::set<uint64_t> seen;
  for (uint64_t index = 0; index < last && problems.size() < count; ++index) {
    Problem problem = task.problem(split, index);
    if (seen.insert(problem.hash()).second) problems.push_back(std::move(problem));
  }
  return problems;
}

}  // namespace minke
