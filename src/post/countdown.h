#pragma once
// Countdown: reach a target from given numbers, each used exactly once, with + - * / and
// parentheses.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace minke {

// What an expression comes to. `problem` is empty where it is a right answer, otherwise says why
// not: a character that may not be there, wrong numbers, a division by zero, another value.
struct CountdownResult {
  bool correct = false;
  std::string problem;
};

// TinyZero's rule (github.com/Jiayi-Pan/TinyZero, verl/utils/reward_score/countdown.py) in exact
// fractions: digits, + - * / ( ) and spaces only, each number once, the value equal to the target.
// What stands behind an '=' does not count: "(3+5)*2 = 16" is "(3+5)*2".
CountdownResult check_countdown(std::string_view expression, std::vector<int64_t> numbers,
                                int64_t target);

}  // namespace minke
