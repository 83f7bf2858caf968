#pragma once
// JSON text with errors that a person reads.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace minke {

// Deeper text could only be an attack on the stack: copying and printing are recursive.
constexpr int max_json_depth = 64;

// Parses text, keeping the order of keys. Throws a usage Error "WHERE: not valid JSON: ..." with
// line and column; deeper text than max_json_depth and objects of over 5,000 keys are others.
nlohmann::ordered_json parse_json(std::string_view text, std::string_view where);

// A value as it stands in an error message, cut when it is long.
std::string shown(const nlohmann::json& value);

}  // namespace minke
