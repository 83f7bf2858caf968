#include "post/countdown.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "post/families.h"

namespace minke {
namespace {

struct Fraction {
  int64_t top = 0, bottom = 1;
};

// One pass over the expression by precedence; anything wrong is thrown as text and caught below.
class Evaluator {
 public:
  explicit Evaluator(std::string_view text) : text_(text) {}

  Fraction value() {
    const Fraction result = sum();
    if (!text_.empty()) throw std::string("not an expression");
    return result;
  }
  const std::vector<int64_t>& numbers() const { return numbers_; }

 private:
  char front() {
    while (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
    return text_.empty() ? '\0' : text_.front();
  }

  Fraction sum() {
    Fraction left = product();
    for (char c = front(); c == '+' || c == '-'; c = front()) {
      text_.remove_prefix(1);
      const Fraction right = product();
      left = reduced(sum_of(times(left.top, right.bottom),
                            times(c == '+' ? right.top : -right.top, left.bottom)),
                     times(left.bottom, right.bottom));
    }
    return left;
  }

  Fraction product() {
    Fraction left = factor();
    for (char c = front(); c == '*' || c == '/'; c = front()) {
      text_.remove_prefix(1);
      const Fraction right = factor();
      if (c == '/' && right.top == 0) throw std::string("a division by zero");
      left = c == '*' ? reduced(times(left.top, right.top), times(left.bottom, right.bottom))
                      : reduced(times(left.top, right.bottom), times(left.bottom, right.top));
    }
    return left;
  }

  Fraction factor() {
    constexpr int deepest = 64;
    const char c = front();
    if (c == '(' || c == '-') {
      if (++depth_ > deepest) throw std::string("too many parentheses");
      text_.remove_prefix(1);
      Fraction inside = c == '-' ? factor() : sum();
      if (c == '-') inside.top = -inside.top;
      if (c == '(' && front() != ')') throw std::string("a parenthesis is not closed");
      if (c == '(') text_.remove_prefix(1);
      --depth_;
      return inside;
    }
    return {number(), 1};
  }

  int64_t number() {
    int64_t value = 0;
    size_t digits = 0;
    for (; digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9'; ++digits)
      value = sum_of(times(value, 10), text_[digits] - '0');
    if (digits == 0) throw std::string("not an expression");
    text_.remove_prefix(digits);
    numbers_.push_back(value);
    return value;
  }

  static int64_t times(int64_t a, int64_t b) {
    int64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) throw std::string("a number is too large");
    return product;
  }
  static int64_t sum_of(int64_t a, int64_t b) {
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) throw std::string("a number is too large");
    return sum;
  }

  // The largest negative number has no opposite; no product of two of ours is it.
  static Fraction reduced(int64_t top, int64_t bottom) {
    if (top == INT64_MIN || bottom == INT64_MIN) throw std::string("a number is too large");
    const int64_t common = std::max<int64_t>(1, std::gcd(top, bottom));
    const int64_t sign = bottom < 0 ? -1 : 1;
    return {sign * top / common, sign * bottom / common};
  }

  std::string_view text_;
  std::vector<int64_t> numbers_;
  int depth_ = 0;
};

struct Part {
  int64_t value;
  std::string expression;
};

struct Step {
  std::string text;  // "3+5=8"
  Part result;
};

// Joins two random parts by an operation that gives a positive whole number.
Step join_parts(std::vector<Part>& parts, Random& random) {
  std::swap(parts[random.below(parts.size())], parts.back());
  const Part a = parts.back();
  parts.pop_back();
  std::swap(parts[random.below(parts.size())], parts.back());
  const Part b = parts.back();
  parts.pop_back();
  const Part &large = a.value >= b.value ? a : b, &small = a.value >= b.value ? b : a;
  char sign = "+-*/"[random.below(4)];
  if (sign == '-' && large.value == small.value) sign = '+';
  if (sign == '/' && (small.value == 0 || large.value % small.value != 0)) sign = '*';
  if (sign == '*' && large.value * small.value > 1000000) sign = '+';
  const int64_t value = sign == '+'   ? large.value + small.value
                        : sign == '-' ? large.value - small.value
                        : sign == '*' ? large.value * small.value
                                      : large.value / small.value;
  Step step{fmt::format("{}{}{}={}", large.value, sign, small.value, value),
            {value, fmt::format("({}{}{})", large.expression, sign, small.expression)}};
  parts.push_back(step.result);
  return step;
}

struct Attempt {
  std::string steps, expression;
  int64_t value = 0;
};

// Joins all numbers at random.
Attempt attempt(const std::vector<int64_t>& numbers, Random& random) {
  std::vector<Part> parts;
  parts.reserve(numbers.size());
  for (const int64_t number : numbers) parts.push_back({number, std::to_string(number)});
  Attempt result;
  while (parts.size() > 1)
    result.steps +=
        fmt::format("{}{}", result.steps.empty() ? "" : " ", join_parts(parts, random).text);
  result.value = parts[0].value;
  const std::string& outer = parts[0].expression;
  result.expression = outer.substr(1, outer.size() - 2);
  return result;
}

std::string listed(const std::vector<int64_t>& numbers, std::string_view separator) {
  std::string text;
  for (const int64_t number : numbers)
    text += fmt::format("{}{}", text.empty() ? "" : separator, number);
  return text;
}

}  // namespace

CountdownResult check_countdown(std::string_view expression, std::vector<int64_t> numbers,
                                int64_t target) {
  constexpr size_t longest = 1000;
  expression = expression.substr(0, expression.find('='));
  if (expression.empty() || expression.size() > longest) return {false, "not an expression"};
  if (expression.find_first_not_of("0123456789+-*/() ") != std::string_view::npos)
    return {false, "a character that may not be there"};
  try {
    Evaluator evaluator(expression);
    const Fraction value = evaluator.value();
    std::vector<int64_t> used = evaluator.numbers();
    std::sort(used.begin(), used.end());
    std::sort(numbers.begin(), numbers.end());
    if (used != numbers) return {false, "not each number exactly once"};
    if (value.top != target || value.bottom != 1)
      return {false, fmt::format("it is {}/{}, not {}", value.top, value.bottom, target)};
    return {true, ""};
  } catch (const std::string& problem) {
    return {false, problem};
  }
}

std::optional<Problem> make_countdown(const TaskConfig& config, Random& random) {
  const int64_t steps = draw_between(random, config.min_steps, config.max_steps);
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i <= steps; ++i) {
    const int64_t digits = draw_between(random, config.min_digits, config.max_digits);
    numbers.push_back(std::max<int64_t>(1, draw_number(random, digits)));
  }
  const Attempt solution = attempt(numbers, random);  // its value is the target: always solvable
  const int64_t target = solution.value;
  if (target < 1 || target > largest_number(config.max_digits + 1)) return std::nullopt;
  std::vector<int64_t> sorted = numbers;
  std::sort(sorted.begin(), sorted.end());
  Problem problem;
  problem.task = "countdown";
  problem.key = fmt::format("{}>{}", listed(sorted, ","), target);
  problem.prompt =
      config.form != PromptForm::words
          ? fmt::format("{}>{}:", listed(numbers, ","), target)
          : fmt::format(
                "Make {} out of the numbers {}: use each of them exactly once, with +, -, "
                "*, / and parentheses. Answer with the expression alone.",
                target, listed(numbers, ", "));
  problem.answer = solution.expression;
  problem.check = ProblemCheck::countdown;
  problem.details = {{"numbers", numbers}, {"target", target}, {"steps", solution.steps}};
  return problem;
}

// 3,5,8>16: "5*3=15 15-8=7 no 5+3=8 8+8=16": up to two tries that miss, then the way that works.
// With a slip, the last try misses and is taken for right.
Worked work_countdown(const Problem& problem, Random* slip) {
  const std::vector<int64_t> numbers = problem.details.at("numbers");
  const int64_t target = problem.details.at("target");
  Random random(problem.hash());
  std::string tried;
  for (uint64_t tries = random.below(3); tries > 0; --tries) {
    const Attempt miss = attempt(numbers, random);
    if (miss.value != target) tried += miss.steps + " no ";
  }
  if (!slip)
    return {fmt::format("{}{}", tried, problem.details.at("steps").get<std::string>()),
            problem.answer};
  const Attempt miss = attempt(numbers, *slip);
  if (miss.value == target)  // by chance: a wrong way of writing it down is left
    return {fmt::format("{}{}", tried, miss.steps), std::to_string(target)};
  const size_t equals = miss.steps.rfind('=');
  return {fmt::format("{}{}={}", tried, miss.steps.substr(0, equals), target), miss.expression};
}

}  // namespace minke
