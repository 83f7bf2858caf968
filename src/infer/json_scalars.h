#pragma once
// Numbers between bounds and strings of a format, as parts of a JSON schema's grammar. Pure
// functions.

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace minke {

// The schema's numbers between its minimum, maximum, exclusiveMinimum and exclusiveMaximum, and
// between -2^53 and 2^53: without exponents, of at most 16 digits after the point; `integers`:
// without a point. Bounds that leave no such number, and bounds of numbers that are not whole, are
// usage Errors; `where` names the schema in them.
std::string json_number_grammar(const nlohmann::ordered_json& schema, bool integers,
                                const std::string& where);

// Whether one of the four is there, or the format int32, which is bounds too.
bool has_number_bounds(const nlohmann::ordered_json& schema);
// Whether a format is one of numbers, as OpenAPI has them: int32, int64, float, double.
bool is_number_format(const nlohmann::ordered_json& format);

// What a string of this format (RFC 3339's and 4122's, dotted IPv4, plain mail addresses) has
// between its quotes; nothing for a format that is not known.
std::optional<std::string> json_format_grammar(std::string_view format);
// "date, time, ..."
std::string json_format_names();

}  // namespace minke
