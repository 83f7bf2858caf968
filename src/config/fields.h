#pragma once
// How one listed field is read, checked, written and described, whatever file it stands in. A
// struct of settings lists its fields once in visit_fields(settings, visit), which calls
// visit(Field, member) for each. Values travel as JSON values; TOML's scalars are turned into
// those.

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "config/json.h"

namespace minke {

// The largest integer that a double, and so every JSON reader, holds exactly.
constexpr double max_integer = 9007199254740992.0;

// A key, what it means, and the numbers that it may be (bounds included).
struct Field {
  std::string_view name;
  std::string_view doc;
  double low = 0.0;
  double high = max_integer;
  // Which kinds of the thing described have the key: bit k for kind k (has_field in
  // model_fields.h).
  uint32_t kinds = ~0u;
};

// The names of an enum's values in order; specialised beside the enum's fields.
template <typename E>
struct EnumNames;

template <typename E>
requires std::is_enum_v<E>
constexpr std::string_view enum_name(E value) {
  return EnumNames<E>::names[static_cast<size_t>(value)];
}

template <typename T>
concept Integer = std::same_as<T, int64_t> || std::same_as<T, uint64_t>;

// "integer", "number", "boolean", "string", or an enum's names: "adamw | muon".
template <typename T>
std::string type_name() {
  if constexpr (std::same_as<T, bool>) return "boolean";
  if constexpr (Integer<T>) return "integer";
  if constexpr (std::same_as<T, double>) return "number";
  if constexpr (std::same_as<T, std::string>) return "string";
  if constexpr (std::is_enum_v<T>) {
    std::string names;
    for (const std::string_view name : EnumNames<T>::names)
      names += fmt::format("{}{}", names.empty() ? "" : " | ", name);
    return names;
  }
}

// What a person may write for the field, for error messages.
template <typename T>
std::string expectation(const Field& field) {
  if constexpr (std::same_as<T, bool>) return "true or false";
  if constexpr (std::same_as<T, std::string>) return "a string";
  if constexpr (std::is_enum_v<T>) return "one of " + type_name<T>();
  const std::string_view noun = Integer<T> ? "an integer" : "a number";
  if (field.high >= max_integer) return fmt::format("{} of at least {}", noun, field.low);
  return fmt::format("{} from {} to {}", noun, field.low, field.high);
}

template <typename T>
void assign(const nlohmann::json& value, T& member, bool& fits) {
  if constexpr (std::same_as<T, bool>) {
    fits = value.is_boolean();
  } else if constexpr (Integer<T>) {
    fits = value.is_number_integer();
  } else if constexpr (std::same_as<T, double>) {
    fits = value.is_number();
  } else {
    fits = value.is_string();
  }
  if constexpr (std::is_enum_v<T>) {
    const auto& names = EnumNames<T>::names;
    const auto name =
        fits ? std::find(names.begin(), names.end(), value.get<std::string>()) : names.end();
    fits = name != names.end();
    if (fits) member = static_cast<T>(name - names.begin());
  } else if (fits) {
    member = value.get<T>();
  }
}

// Whether a number lies in the field's bounds; anything else does.
template <typename T>
bool in_bounds(const Field& field, const T& member) {
  if constexpr (Integer<T> || std::same_as<T, double>) {
    const double number = static_cast<double>(member);
    return number >= field.low && number <= field.high;  // false for a NaN
  }
  return true;
}

// Reads `value` into `member`, or throws a usage Error: where, the key, what it is, what it may be.
// An integer outside of 64 bits is a wrong type too, as the JSON reader makes it a double.
template <typename T>
void read_field(const nlohmann::json& value, const Field& field, std::string_view where,
                std::string_view key, T& member) {
  bool fits = false;
  assign(value, member, fits);
  if (!fits || !in_bounds(field, member))
    fail_usage("{}: {} is {}, expected {}", where, key, shown(value), expectation<T>(field));
}

template <typename T>
nlohmann::json field_value(const T& member) {
  if constexpr (std::is_enum_v<T>)
    return std::string(enum_name(member));
  else
    return member;
}

}  // namespace minke
