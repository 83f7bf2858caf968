#pragma once
// Exact numbers as people and models write them: for comparing answers without rounding.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minke {

// A fraction of two whole numbers of at most max_number_digits digits each, not reduced.
struct Number {
  bool negative = false;
  std::string numerator = "0";    // decimal digits without leading zeros; "0" has no sign
  std::string denominator = "1";  // not zero
  bool percent = false;           // written with %; the value is already divided by 100
};

constexpr size_t max_number_digits = 64;

// Reads one number: sign, thousands separators (1,234 or LaTeX's {,} and \,), decimals, exponent,
// fraction (3/4, \frac{3}{4}, \frac34), mixed number (1\frac{1}{2}, 1 1/2), percent. Nothing for
// any other text, for a division by zero and for more digits than max_number_digits.
std::optional<Number> parse_number(std::string_view text);

// Exactly the same value. Where one of them alone is written with %, the bare figure counts too:
// 50% equals 0.5 and 50.
bool same_number(const Number& a, const Number& b);

}  // namespace minke
