#include "infer/json_scalars.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "config/json.h"
#include "infer/grammar_text.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t largest = (int64_t{1} << 53) - 1;  // beyond, doubles are no exact bounds
constexpr std::array number_formats = {"int32", "int64", "float", "double"};
constexpr std::string_view fraction = R"("." [0-9]{1,16})";

std::string any_digits(size_t count) { return count == 0 ? "" : fmt::format("[0-9]{{{}}}", count); }

// Digits from low to high, both of the same length: what begins with low's first digit, what begins
// with one between, what begins with high's.
std::string digits_between(const std::string& low, const std::string& high) {
  const size_t rest = low.size() - 1;
  const std::string low_rest = low.substr(1), high_rest = high.substr(1);
  if (low == std::string(low.size(), '0') && high == std::string(high.size(), '9'))
    return any_digits(low.size());
  if (rest == 0) return fmt::format("[{}-{}]", low, high);
  if (low[0] == high[0])
    return fmt::format("\"{}\" {}", low[0], digits_between(low_rest, high_rest));
  std::vector<std::string> parts = {
      fmt::format("\"{}\" {}", low[0], digits_between(low_rest, std::string(rest, '9')))};
  if (high[0] - low[0] > 1)
    parts.push_back(fmt::format("[{}-{}] {}", static_cast<char>(low[0] + 1),
                                static_cast<char>(high[0] - 1), any_digits(rest)));
  parts.push_back(
      fmt::format("\"{}\" {}", high[0], digits_between(std::string(rest, '0'), high_rest)));
  return fmt::format("({})", joined_by(parts, " | "));
}

// 0 <= low <= high.
std::string naturals(int64_t low, int64_t high) {
  std::vector<std::string> parts;
  int64_t first = 0, last = 9;  // of as many digits
  for (; first <= high; first = last + 1, last = 10 * last + 9)
    if (last >= low)
      parts.push_back(digits_between(std::to_string(std::max(first, low)),
                                     std::to_string(std::min(last, high))));
  return fmt::format("({})", joined_by(parts, " | "));
}

// An end of a range; an open one is no number of it.
struct Bound {
  int64_t value;
  bool is_open;
};

// Numbers from low to high, 0 <= low <= high; "" if there are none.
std::string magnitudes(Bound low, Bound high) {
  if (low.value == high.value) {
    if (low.is_open || high.is_open) return "";
    return fmt::format(R"("{}" ("." "0"{{1,16}})?)", low.value);
  }
  std::vector<std::string> parts = {low.is_open
                                        ? fmt::format(R"("{}." [0-9]{{0,15}} [1-9])", low.value)
                                        : fmt::format(R"("{}" ({})?)", low.value, fraction)};
  if (high.value - low.value > 1)
    parts.push_back(fmt::format("{} ({})?", naturals(low.value + 1, high.value - 1), fraction));
  if (!high.is_open) parts.push_back(fmt::format(R"("{}" ("." "0"{{1,16}})?)", high.value));
  return joined_by(parts, " | ");
}

bool has_int32(const Json& schema) {
  return schema.contains("format") && schema["format"] == "int32";
}

std::optional<double> number_of(const Json& schema, const char* key, const std::string& where) {
  if (!schema.contains(key)) return std::nullopt;
  if (!schema[key].is_number())
    fail_usage("the JSON schema, at {}: '{}' is {}, expected a number", where, key,
               shown(schema[key]));
  return schema[key].get<double>();
}

// The lower end, or with sign -1 the upper one, mirrored.
Bound lower_bound(const Json& schema, int sign, bool integers, const std::string& where) {
  const char* closed_key = sign > 0 ? "minimum" : "maximum";
  const char* open_key = sign > 0 ? "exclusiveMinimum" : "exclusiveMaximum";
  double value = -1e300;
  if (has_int32(schema)) value = sign > 0 ? -0x1p31 : 1 - 0x1p31;
  bool is_open = false;
  if (const auto closed = number_of(schema, closed_key, where))
    value = std::max(value, sign * *closed);
  if (const auto open = number_of(schema, open_key, where); open && sign * *open >= value) {
    value = sign * *open;
    is_open = true;
  }
  if (value < -static_cast<double>(largest)) return {-largest, false};
  if (integers && is_open) value = std::floor(value) + 1;
  if (integers) value = std::ceil(value);
  if (value > static_cast<double>(largest))
    fail_usage("the JSON schema, at {}: '{}' is {}, expected less than 2^53", where,
               is_open ? open_key : closed_key, sign * value);
  if (value != std::floor(value))
    fail_usage("the JSON schema, at {}: '{}' of a number is {}, which is supported as an integer",
               where, is_open ? open_key : closed_key, sign * value);
  return {static_cast<int64_t>(value), is_open && !integers};
}

constexpr std::string_view date_grammar =
    R"([0-9]{4} "-" (("01" | "03" | "05" | "07" | "08" | "10" | "12") "-" )"
    R"(("0" [1-9] | [12] [0-9] | "3" [01]) | ("04" | "06" | "09" | "11") "-" )"
    R"(("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8])))";
constexpr std::string_view hours_and_minutes = R"(([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])";

struct Format {
  std::string_view name;
  std::string grammar;
};

const std::vector<Format>& formats() {
  static const std::string time =
      fmt::format(R"({0} ":" [0-5] [0-9] ("." [0-9]{{1,9}})? ("Z" | [-+] {0}))", hours_and_minutes);
  static const std::string byte = R"(("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9]{2} | [1-9]? [0-9]))";
  static const std::string word = "[a-zA-Z0-9]{1,32}";
  static const std::vector<Format> all = {
      {"date", std::string(date_grammar)},
      {"time", time},
      {"date-time", fmt::format(R"({} "T" {})", date_grammar, time)},
      {"uuid", R"(hex{8} ("-" hex{4}){3} "-" hex{12})"},
      {"ipv4", fmt::format(R"({0} ("." {0}){{3}})", byte)},
      {"email",
       fmt::format(R"({0} ([-._] {0}){{0,3}} "@" ({0} "."){{1,3}} [a-zA-Z]{{2,10}})", word)}};
  return all;
}

}  // namespace

bool has_number_bounds(const Json& schema) {
  constexpr std::array keys = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
  return has_int32(schema) ||
         std::ranges::any_of(keys, [&](const char* key) { return schema.contains(key); });
}

bool is_number_format(const Json& format) {
  return std::ranges::any_of(number_formats, [&](const char* name) { return format == name; });
}

std::string json_number_grammar(const Json& schema, bool integers, const std::string& where) {
  const Bound low = lower_bound(schema, 1, integers, where);
  const Bound mirrored = lower_bound(schema, -1, integers, where);
  const Bound high = {-mirrored.value, mirrored.is_open};
  const bool is_empty =
      low.value > high.value || (low.value == high.value && (low.is_open || high.is_open));
  if (is_empty) fail_usage("the JSON schema, at {}: no number lies between its bounds", where);
  std::vector<std::string> parts;
  const auto add = [&](const char* sign, Bound from, Bound to) {
    if (integers && from.is_open) from = {from.value + 1, false};  // 0 of the negative ones
    if (from.value > to.value) return;
    const std::string part = integers ? naturals(from.value, to.value) : magnitudes(from, to);
    if (!part.empty()) parts.push_back(fmt::format("{}({})", sign, part));
  };
  constexpr Bound nothing = {0, true}, zero = {0, false};
  if (low.value < 0)
    add(R"("-" )", high.value < 0 ? Bound{-high.value, high.is_open} : nothing,
        {-low.value, low.is_open});
  if (high.value >= 0) add("", low.value < 0 ? zero : low, high);
  return joined_by(parts, " | ");
}

std::optional<std::string> json_format_grammar(std::string_view format) {
  for (const Format& known : formats())
    if (known.name == format) return known.grammar;
  return std::nullopt;
}

std::string json_format_names() {
  std::vector<std::string> names;
  for (const Format& known : formats()) names.emplace_back(known.name);
  names.insert(names.end(), number_formats.begin(), number_formats.end());
  return joined_by(names, ", ");
}

}  // namespace minke
