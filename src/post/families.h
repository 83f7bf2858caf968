#pragma once
// The families of generated problems. A generator draws one problem from the settings, or nothing
// where what it drew does not satisfy them; the caller draws again.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "config/task_config.h"
#include "post/problem.h"

namespace minke {

// A way to the answer as it would be written down, and the answer that it leads to.
struct Worked {
  std::string working, answer;
};

struct Family {
  std::string_view name;
  std::optional<Problem> (*make)(const TaskConfig& config, Random& random);
  // The working of a problem of this family; with `slip`, one step of it goes wrong and the rest
  // goes on from there. Null where the family has none.
  Worked (*work)(const Problem& problem, Random* slip);
};

const std::vector<Family>& all_families();
// The family of this name; another name is a usage Error that lists them.
const Family& find_family(std::string_view name);

// The names in TaskConfig::families, without weights.
std::vector<std::string> family_names(const TaskConfig& config);

// A whole number from low to high, both included.
inline int64_t draw_between(Random& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1)));
}
// A number of as many digits, without leading zeros.
int64_t draw_number(Random& random, int64_t digits);

// "48+293=" for the bare form, "48 + 293 =" for the spaced one.
std::string written_out(std::string_view bare, PromptForm form);

int64_t largest_number(int64_t digits);  // 999 for 3

// The step of a working that goes wrong, -1 for none.
int64_t slipping_step(Random* slip, int64_t steps);
// Another result than the right one: one or two off, not negative.
int64_t slipped(Random& slip, int64_t right);

std::optional<Problem> make_addition(const TaskConfig& config, Random& random);
std::optional<Problem> make_subtraction(const TaskConfig& config, Random& random);
std::optional<Problem> make_multiplication(const TaskConfig& config, Random& random);
std::optional<Problem> make_chain(const TaskConfig& config, Random& random);
std::optional<Problem> make_equation(const TaskConfig& config, Random& random);
std::optional<Problem> make_countdown(const TaskConfig& config, Random& random);
std::optional<Problem> make_sorting(const TaskConfig& config, Random& random);
std::optional<Problem> make_word_count(const TaskConfig& config, Random& random);
std::optional<Problem> make_letter_count(const TaskConfig& config, Random& random);
std::optional<Problem> make_truth_tellers(const TaskConfig& config, Random& random);
std::optional<Problem> make_ordering(const TaskConfig& config, Random& random);

Worked work_addition(const Problem& problem, Random* slip);
Worked work_subtraction(const Problem& problem, Random* slip);
Worked work_multiplication(const Problem& problem, Random* slip);
Worked work_chain(const Problem& problem, Random* slip);
Worked work_equation(const Problem& problem, Random* slip);
Worked work_countdown(const Problem& problem, Random* slip);

}  // namespace minke
