#pragma once
// A TOML file as a flat list of keys with their values and lines: what a recipe is read from.

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace minke {

struct RecipeValue {
  nlohmann::json value;  // a scalar; an array as a JSON array
  std::string where;     // "recipe.toml:12", or "--set optimizer.kind=muon"
};

// Dotted key to value. A section without keys stands for itself, with a null value.
using RecipeValues = std::map<std::string, RecipeValue>;

// Parses TOML; `where` names it in errors. Each override "a.b=c" replaces or adds a key; c is read
// as a TOML value, or taken as a string when it is none. Throws usage Errors with line and reason.
RecipeValues parse_recipe(const std::string& toml, const std::string& where,
                          const std::vector<std::string>& overrides);

// The tables [[name]] of a TOML file in their order; without any, an empty list.
std::vector<RecipeValues> parse_recipe_list(const std::string& toml, const std::string& where,
                                            const std::string& name);

// TOML that parse_recipe() reads as the same keys and values.
std::string write_recipe_values(const RecipeValues& values);

}  // namespace minke
