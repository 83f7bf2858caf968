#pragma once
// JSON Schema as a grammar: what the grammar lets come is JSON that the schema holds valid.

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace minke {

// The grammar's text, for Grammar::parse(). `true` and {} stand for any JSON value,
// {"type": "object"} for any object.
//
// The grammar writes some of what a schema permits, not all: properties in the schema's order;
// others, if additionalProperties asks for them, at the end; numbers of at most 16 digits before
// and after the point. docs/grammar.md lists the keywords; another one that would constrain, and a
// schema that nothing satisfies, are usage Errors that name it and where it stands.
std::string json_schema_grammar(const nlohmann::ordered_json& schema);
std::string json_schema_grammar(std::string_view schema_text, std::string_view where);

// The characters of a JSON string, in the grammar's notation, that match a regular expression (as
// in the schema's `pattern`). Literals, classes, groups, alternatives, greedy repetitions, ^ and $
// at the ends; anything else is a usage Error.
std::string json_pattern_grammar(std::string_view pattern, std::string_view where);

}  // namespace minke
