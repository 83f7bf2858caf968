#pragma once
// Pieces of a grammar's text, for what is translated into a grammar. Pure functions.

#include <string>
#include <string_view>
#include <vector>

#include "infer/grammar.h"

namespace minke {

// A string in quotes that stands for `text`.
std::string grammar_string(std::string_view text);

// A group for one of these characters inside of a JSON string: as itself where JSON allows that,
// otherwise as its escape. At least one character.
std::string grammar_json_characters(const std::vector<CharacterRange>& ranges);

// A group for the rest of a JSON string, closing quote included, that is none of `names`; written
// without escapes. Names longer than 64 characters are a usage Error.
std::string grammar_other_names(const std::vector<std::string>& names);

// "a, b, c"
std::string joined_by(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace minke
