// Chains of additions and subtractions, "48-9-3-3+6=", worked one operation at a time with the rest
// of the chain carried along; and linear equations.

#include <algorithm>

#include "base/error.h"
#include "post/families.h"

namespace minke {
namespace {

// "48-9+6"
std::string join(const std::vector<int64_t>& terms, std::string_view space = "") {
  std::string text = std::to_string(terms[0]);
  for (size_t i = 1; i < terms.size(); ++i)
    text += fmt::format("{}{}{}{}", space, terms[i] < 0 ? '-' : '+', space, std::abs(terms[i]));
  return text;
}

// A term that keeps the sum from 0 to `largest`; 0 where neither sign does.
int64_t draw_term(Random& random, int64_t digits, int64_t sum, int64_t largest) {
  const int64_t size = std::max<int64_t>(1, draw_number(random, digits));
  int64_t term = random.below(2) == 0 ? size : -size;
  if (sum + term < 0 || sum + term > largest) term = -term;
  return sum + term < 0 || sum + term > largest ? 0 : term;
}

}  // namespace

std::optional<Problem> make_chain(const TaskConfig& config, Random& random) {
  const int64_t steps = draw_between(random, config.min_steps, config.max_steps);
  const int64_t largest = largest_number(config.max_digits);
  std::vector<int64_t> terms = {draw_number(random, config.max_digits)};
  int64_t sum = terms[0];
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t digits = draw_between(random, config.min_digits, config.max_digits);
    const int64_t term = draw_term(random, digits, sum, largest);
    if (term == 0) return std::nullopt;
    terms.push_back(term);
    sum += term;
  }
  Problem problem;
  problem.task = "chain";
  problem.key = join(terms);
  problem.prompt = config.form != PromptForm::words ? written_out(problem.key + "=", config.form)
                                                    : fmt::format("What is {}?", join(terms, " "));
  problem.answer = std::to_string(sum);
  problem.check = ProblemCheck::numeric;
  problem.details = {{"terms", terms}};
  return problem;
}

// 48-9-3+6: "39-3+6 36+6"; the last sum is the answer.
Worked work_chain(const Problem& problem, Random* slip) {
  std::vector<int64_t> terms = problem.details.at("terms");
  const int64_t steps = static_cast<int64_t>(terms.size()) - 1;
  const int64_t wrong_step = slipping_step(slip, steps);
  Worked worked;
  for (int64_t step = 0; step < steps; ++step) {
    int64_t sum = terms[0] + terms[1];
    if (step == wrong_step) sum = slipped(*slip, sum);
    terms.erase(terms.begin());
    terms[0] = sum;
    if (terms.size() > 1) worked.working += fmt::format("{}{}", step > 0 ? " " : "", join(terms));
  }
  worked.answer = std::to_string(terms[0]);
  return worked;
}

// a x + b = c with whole numbers, a > 1 and x of either sign.
std::optional<Problem> make_equation(const TaskConfig& config, Random& random) {
  const auto draw = [&] {
    return draw_number(random, draw_between(random, config.min_digits, config.max_digits));
  };
  const int64_t a = draw(), x = (random.below(2) == 0 ? 1 : -1) * draw();
  const int64_t b = (random.below(2) == 0 ? 1 : -1) * draw(), c = a * x + b;
  if (a < 2 || b == 0) return std::nullopt;
  Problem problem;
  problem.task = "equation";
  problem.key = fmt::format("{}x{:+}={}", a, b, c);
  problem.prompt = config.form != PromptForm::words ? problem.key + " x="
                                                    : fmt::format("Solve {} for x.", problem.key);
  problem.answer = std::to_string(x);
  problem.check = ProblemCheck::numeric;
  problem.details = {{"a", a}, {"b", b}, {"c", c}};
  return problem;
}

// 3x+7=22: "3x=22-7=15 x=15/3".
Worked work_equation(const Problem& problem, Random* slip) {
  const int64_t a = problem.details.at("a"), b = problem.details.at("b"),
                c = problem.details.at("c");
  const int64_t wrong_step = slipping_step(slip, 2);
  int64_t product = c - b;
  // A slip by a whole multiple of a, so that the division still comes out.
  if (wrong_step == 0) product += slip->below(2) == 0 ? a : -a;
  int64_t x = product / a;
  if (wrong_step == 1) x += slip->below(2) == 0 ? 1 : -1;
  return {fmt::format("{}x={}{:+}={} x={}/{}", a, c, -b, product, product, a), std::to_string(x)};
}

}  // namespace minke
