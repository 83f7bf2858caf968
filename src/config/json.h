#pragma once
// JSON text with errors that a person reads.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace minke {

// Parses text, keeping the order of keys. Throws a usage Error "WHERE: not valid JSON: ..." with
// line and column.
nlohmann::ordered_json parse_json(std::string_view text, std::string_view where);

// A value as it stands in an error message, cut when it is long.
std::string shown(const nlohmann::json& value);

}  // namespace minke
