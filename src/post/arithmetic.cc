// Addition, subtraction and multiplication of two whole numbers, worked digit by digit from the low
// end as on paper.

#include <algorithm>

#include "base/error.h"
#include "post/families.h"

namespace minke {
namespace {

int64_t power_of_ten(int64_t digits) {
  int64_t power = 1;
  for (int64_t i = 0; i < digits; ++i) power *= 10;
  return power;
}

int64_t digit_of(int64_t number, int64_t position) { return number / power_of_ten(position) % 10; }

int64_t digit_count(int64_t number) {
  int64_t digits = 1;
  while (number >= 10) {
    number /= 10;
    ++digits;
  }
  return digits;
}

int64_t draw_operand(const TaskConfig& config, Random& random) {
  return draw_number(random, draw_between(random, config.min_digits, config.max_digits));
}

// Carries of a + b, or borrows of a - b.
int64_t count_carries(int64_t a, int64_t b, char sign) {
  int64_t count = 0, carry = 0;
  for (int64_t position = 0; a >= power_of_ten(position) || b >= power_of_ten(position);
       ++position) {
    const int64_t x = digit_of(a, position), y = digit_of(b, position) + carry;
    carry = sign == '+' ? x + y > 9 : x < y;
    count += carry;
  }
  return count;
}

std::string written(int64_t number, int64_t width) { return fmt::format("{:0{}}", number, width); }

Problem describe(const TaskConfig& config, std::string_view task, int64_t a, int64_t b, char sign,
                 int64_t answer) {
  const int64_t width = config.fixed_width ? config.max_digits : 1;
  Problem problem;
  problem.task = task;
  problem.prompt =
      config.form != PromptForm::words
          ? written_out(fmt::format("{}{}{}=", written(a, width), sign, written(b, width)),
                        config.form)
          : fmt::format("What is {} {} {}?", a, sign == '*' ? "×" : std::string(1, sign), b);
  problem.answer = std::to_string(answer);
  problem.check = ProblemCheck::numeric;
  problem.details = {{"a", a}, {"b", b}, {"width", width}};
  const bool swapped = sign != '-' && a > b;  // a + b is the same problem as b + a
  problem.key = fmt::format("{}{}{}", swapped ? b : a, sign, swapped ? a : b);
  return problem;
}

struct Operands {
  int64_t a, b, width;
  bool aligned;  // of fixed width: every step of the working has as many characters
};

Operands operands(const Problem& problem) {
  const int64_t a = problem.details.at("a"), b = problem.details.at("b"),
                width = problem.details.at("width");
  return {a, b, std::max({width, digit_count(a), digit_count(b)}), width > 1};
}

// One step: its carry or borrow and leading zero are left out where there are none, unless the
// steps are aligned.
std::string step_text(int64_t x, char sign, int64_t y, int64_t carry, int64_t result,
                      int64_t result_width, bool aligned) {
  if (!aligned)
    return fmt::format("{}{}{}{}={}", x, sign, y, carry ? fmt::format("{}1", sign) : "", result);
  return fmt::format("{}{}{}{}{}={:0{}}", x, sign, y, sign, carry, result, result_width);
}

}  // namespace

std::string written_out(std::string_view bare, PromptForm form) {
  std::string text;
  for (const char c : bare) {
    const bool spaced = form == PromptForm::spaced && (c < '0' || c > '9');
    if (spaced) text += ' ';
    text += c;
    if (spaced && c != '=') text += ' ';
  }
  return text;
}

int64_t largest_number(int64_t digits) { return power_of_ten(digits) - 1; }

int64_t slipping_step(Random* slip, int64_t steps) {
  return slip ? static_cast<int64_t>(slip->below(static_cast<uint64_t>(steps))) : -1;
}

int64_t slipped(Random& slip, int64_t right) {
  constexpr int64_t off[] = {-2, -1, 1, 2};
  const int64_t wrong = right + off[slip.below(4)];
  return wrong < 0 ? right + 1 : wrong;
}

int64_t draw_number(Random& random, int64_t digits) {
  return draw_between(random, digits == 1 ? 0 : power_of_ten(digits - 1), power_of_ten(digits) - 1);
}

std::optional<Problem> make_addition(const TaskConfig& config, Random& random) {
  const int64_t a = draw_operand(config, random), b = draw_operand(config, random);
  const int64_t carries = count_carries(a, b, '+');
  if (carries < config.min_carries || carries > config.max_carries) return std::nullopt;
  return describe(config, "addition", a, b, '+', a + b);
}

std::optional<Problem> make_subtraction(const TaskConfig& config, Random& random) {
  int64_t a = draw_operand(config, random), b = draw_operand(config, random);
  if (a < b) std::swap(a, b);
  const int64_t borrows = count_carries(a, b, '-');
  if (borrows < config.min_carries || borrows > config.max_carries) return std::nullopt;
  return describe(config, "subtraction", a, b, '-', a - b);
}

std::optional<Problem> make_multiplication(const TaskConfig& config, Random& random) {
  const int64_t a = draw_operand(config, random), b = draw_operand(config, random);
  return describe(config, "multiplication", a, b, '*', a * b);
}

// 48+293: "8+3=11 4+9+1=14 0+2+1=3"; of fixed width, 048+293: "8+3+0=11 4+9+1=14 0+2+1=03".
Worked work_addition(const Problem& problem, Random* slip) {
  const auto [a, b, width, aligned] = operands(problem);
  const int64_t wrong_step = slipping_step(slip, width);
  Worked worked;
  int64_t sum = 0, carry = 0;
  for (int64_t position = 0; position < width; ++position) {
    const int64_t x = digit_of(a, position), y = digit_of(b, position);
    int64_t result = x + y + carry;
    if (position == wrong_step) result = slipped(*slip, result);
    worked.working += (position ? " " : "") + step_text(x, '+', y, carry, result, 2, aligned);
    carry = result >= 10;
    sum += (carry && position + 1 < width ? result - 10 : result) * power_of_ten(position);
  }
  worked.answer = std::to_string(sum);
  return worked;
}

// 293-48: "13-8=5 9-4-1=4 2-0=2": ten is borrowed where the digit is too small. Of fixed width,
// 293-048: "13-8-0=5 09-4-1=4 02-0-0=2".
Worked work_subtraction(const Problem& problem, Random* slip) {
  const auto [a, b, width, aligned] = operands(problem);
  const int64_t wrong_step = slipping_step(slip, width);
  Worked worked;
  int64_t difference = 0, borrow = 0;
  for (int64_t position = 0; position < width; ++position) {
    int64_t x = digit_of(a, position);
    const int64_t y = digit_of(b, position), borrowed = borrow;
    borrow = x < y + borrowed;
    if (borrow) x += 10;
    int64_t result = x - y - borrowed;
    if (position == wrong_step) {
      const int64_t wrong = slipped(*slip, result);
      result = wrong > 9 ? result - 1 : wrong;
    }
    worked.working += fmt::format("{}{}", position ? " " : "", aligned && x < 10 ? "0" : "") +
                      step_text(x, '-', y, borrowed, result, 1, aligned);
    difference += result * power_of_ten(position);
  }
  worked.answer = std::to_string(difference);
  return worked;
}

// 48*93: "48*3=144 48*90=4320 144+4320=4464".
Worked work_multiplication(const Problem& problem, Random* slip) {
  const int64_t a = problem.details.at("a"), b = problem.details.at("b");
  const int64_t factors = digit_count(b);
  const int64_t wrong_step = slipping_step(slip, 2 * factors - 1);
  Worked worked;
  int64_t sum = 0;
  for (int64_t position = 0; position < factors; ++position) {
    const int64_t factor = digit_of(b, position) * power_of_ten(position);
    int64_t product = a * factor;
    if (wrong_step == position) product = slipped(*slip, product);
    worked.working += fmt::format("{}{}*{}={}", position ? " " : "", a, factor, product);
    int64_t total = sum + product;
    if (wrong_step == factors + position - 1 && position > 0) total = slipped(*slip, total);
    if (position > 0) worked.working += fmt::format(" {}+{}={}", sum, product, total);
    sum = total;
  }
  worked.answer = std::to_string(sum);
  return worked;
}

}  // namespace minke
