#include "post/number.h"

#include <algorithm>

namespace minke {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void strip_zeros(std::string& digits) {
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
}

// The product of two strings of digits, schoolbook.
std::string multiply(std::string_view a, std::string_view b) {
  std::vector<uint32_t> sums(a.size() + b.size(), 0);
  for (size_t i = a.size(); i-- > 0;)
    for (size_t j = b.size(); j-- > 0;)
      sums[i + j + 1] += static_cast<uint32_t>(a[i] - '0') * static_cast<uint32_t>(b[j] - '0');
  std::string digits(sums.size(), '0');
  uint32_t carry = 0;
  for (size_t i = sums.size(); i-- > 0;) {
    carry += sums[i];
    digits[i] = static_cast<char>('0' + carry % 10);
    carry /= 10;
  }
  strip_zeros(digits);
  return digits;
}

std::string add(std::string_view a, std::string_view b) {
  std::string digits(std::max(a.size(), b.size()) + 1, '0');
  int carry = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    carry += (i < a.size() ? a[a.size() - 1 - i] - '0' : 0) +
             (i < b.size() ? b[b.size() - 1 - i] - '0' : 0);
    digits[digits.size() - 1 - i] = static_cast<char>('0' + carry % 10);
    carry /= 10;
  }
  strip_zeros(digits);
  return digits;
}

std::string power_of_ten(size_t exponent) { return "1" + std::string(exponent, '0'); }

bool fits(const Number& number) {
  return number.numerator.size() <= max_number_digits &&
         number.denominator.size() <= max_number_digits;
}

// A reader of the one text; each function takes what it knows from the front.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<Number> number() {
    skip_space();
    const bool negative = sign();
    skip_space();
    std::optional<Number> value = magnitude();
    if (!value) return std::nullopt;
    skip_space();
    if (take("\\%") || take("%")) {
      value->percent = true;
      value->denominator += "00";
    }
    skip_space();
    if (!text_.empty() || !fits(*value)) return std::nullopt;
    value->negative = negative != value->negative && value->numerator != "0";
    return value;
  }

 private:
  bool take(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  void skip_space() {
    while (take(" ") || take("\n") || take("\t") || take("\r")) {
    }
  }

  bool sign() {
    constexpr std::string_view minus = "\xe2\x88\x92";  // U+2212
    if (take("-") || take(minus)) return true;
    take("+");
    return false;
  }

  // 12, 1/2, \frac{1}{2}, or one of the latter two after a whole number.
  std::optional<Number> magnitude() {
    if (text_.starts_with("\\")) return fraction();
    std::optional<Number> first = decimal();
    if (!first) return std::nullopt;
    skip_space();
    if (text_.starts_with("/")) return ratio(*first);
    if (first->denominator != "1") return first;
    if (text_.starts_with("\\") && !text_.starts_with("\\%")) return mixed(*first, fraction());
    if (!text_.empty() && is_digit(text_[0])) {  // 1 1/2
      std::optional<Number> top = decimal();
      skip_space();
      return mixed(*first, top ? ratio(*top) : std::nullopt);
    }
    return first;
  }

  static std::optional<Number> mixed(const Number& whole, const std::optional<Number>& part) {
    if (!part || part->negative) return std::nullopt;
    Number sum = *part;
    sum.numerator = add(multiply(whole.numerator, part->denominator), part->numerator);
    return checked(sum);
  }

  static std::optional<Number> checked(const Number& number) {
    if (number.denominator == "0" || !fits(number)) return std::nullopt;
    return number;
  }

  static std::optional<Number> divide(const Number& a, const Number& b) {
    Number quotient;
    quotient.numerator = multiply(a.numerator, b.denominator);
    quotient.denominator = multiply(a.denominator, b.numerator);
    quotient.negative = a.negative != b.negative;
    return checked(quotient);
  }

  std::optional<Number> ratio(const Number& top) {
    if (!take("/")) return std::nullopt;
    skip_space();
    const std::optional<Number> bottom = decimal();
    return bottom ? divide(top, *bottom) : std::nullopt;
  }

  std::optional<Number> fraction() {
    if (!take("\\frac") && !take("\\dfrac") && !take("\\tfrac")) return std::nullopt;
    const std::optional<Number> top = argument(), bottom = top ? argument() : std::nullopt;
    return bottom ? divide(*top, *bottom) : std::nullopt;
  }

  // {-12} or one digit.
  std::optional<Number> argument() {
    skip_space();
    if (!take("{")) {
      if (text_.empty() || !is_digit(text_[0])) return std::nullopt;
      Number digit;
      digit.numerator = std::string(1, text_[0]);
      text_.remove_prefix(1);
      return digit;
    }
    skip_space();
    const bool negative = sign();
    std::optional<Number> value = decimal();
    skip_space();
    if (!value || !take("}")) return std::nullopt;
    value->negative = negative;
    return value;
  }

  // Digits in groups of three behind the first: 1,234,567.
  std::string whole_part() {
    std::string digits = digit_run();
    while (true) {
      const std::string_view before = text_;
      if (!take("{,}") && !take("\\,") && !take(",\\!") && !take(",")) break;
      const std::string group = digit_run();
      if (group.size() != 3 || digits.empty()) {
        text_ = before;
        break;
      }
      digits += group;
    }
    return digits;
  }

  std::string digit_run() {
    size_t count = 0;
    while (count < text_.size() && is_digit(text_[count])) ++count;
    std::string digits(text_.substr(0, count));
    text_.remove_prefix(count);
    return digits;
  }

  std::optional<Number> decimal() {
    if (text_.size() > 4 * max_number_digits) return std::nullopt;
    Number number;
    number.numerator = whole_part();
    if (take(".")) {
      const std::string decimals = digit_run();
      number.numerator += decimals;
      number.denominator = power_of_ten(decimals.size());
    }
    if (number.numerator.empty()) return std::nullopt;
    if (!exponent(number)) return std::nullopt;
    strip_zeros(number.numerator);
    return checked(number);
  }

  // e-12; false where it is too large.
  bool exponent(Number& number) {
    if (!text_.starts_with("e") && !text_.starts_with("E")) return true;
    text_.remove_prefix(1);
    const bool negative = sign();
    const std::string digits = digit_run();
    if (digits.empty() || digits.size() > 2) return false;
    (negative ? number.denominator : number.numerator).append(std::stoul(digits), '0');
    return true;
  }

  std::string_view text_;
};

bool same_value(const Number& a, const Number& b) {
  return a.negative == b.negative &&
         multiply(a.numerator, b.denominator) == multiply(b.numerator, a.denominator);
}

}  // namespace

std::optional<Number> parse_number(std::string_view text) {
  if (text.size() > 4 * max_number_digits) return std::nullopt;
  return Parser(text).number();
}

bool same_number(const Number& a, const Number& b) {
  if (same_value(a, b)) return true;
  if (a.percent == b.percent) return false;
  Number bare = a.percent ? a : b;
  bare.numerator = multiply(bare.numerator, "100");
  return same_value(bare, a.percent ? b : a);
}

}  // namespace minke
