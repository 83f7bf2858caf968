#include "config/recipe_file.h"

#include <toml++/toml.h>

#include "base/error.h"

namespace minke {
namespace {

nlohmann::json to_json(const toml::node& node) {
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  if (const auto* value = node.as_boolean()) return value->get();
  nlohmann::json list = nlohmann::json::array();
  if (const auto* array = node.as_array())
    for (const toml::node& element : *array) list.push_back(to_json(element));
  return list;
}

void flatten(const toml::table& table, const std::string& prefix, const std::string& where,
             RecipeValues& values) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    const std::string place = fmt::format("{}:{}", where, node.source().begin.line);
    const toml::table* section = node.as_table();
    if (section && !section->empty())
      flatten(*section, key + ".", where, values);
    else
      values[key] = {section ? nlohmann::json() : to_json(node), place};
  }
}

toml::table parse_toml(const std::string& text, const std::string& where) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& e) {
    fail_usage("{}:{}: not valid TOML: {}", where, e.source().begin.line, e.description());
  }
}

nlohmann::json override_value(const std::string& text) {
  try {
    const toml::table table = toml::parse("value = " + text);
    const toml::node* node = table.get("value");
    if (table.size() == 1 && node && !node->is_table()) return to_json(*node);
  } catch (const toml::parse_error&) {
    return text;
  }
  return text;
}

}  // namespace

RecipeValues parse_recipe(const std::string& toml, const std::string& where,
                          const std::vector<std::string>& overrides) {
  RecipeValues values;
  flatten(parse_toml(toml, where), "", where, values);
  for (const std::string& text : overrides) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      fail_usage("--set {}: expected key=value, for instance --set optimizer.kind=muon", text);
    values[text.substr(0, equals)] = {override_value(text.substr(equals + 1)), "--set " + text};
  }
  return values;
}

std::vector<RecipeValues> parse_recipe_list(const std::string& toml, const std::string& where,
                                            const std::string& name) {
  const toml::table table = parse_toml(toml, where);
  const toml::node* node = table.get(name);
  std::vector<RecipeValues> list;
  if (!node) return list;
  if (!node->is_array_of_tables())
    fail_usage("{}:{}: expected tables [[{}]]", where, node->source().begin.line, name);
  for (const toml::node& element : *node->as_array())
    flatten(*element.as_table(), "", where, list.emplace_back());
  return list;
}

std::string write_recipe_values(const RecipeValues& values) {
  std::string text, empty_sections;  // these last, as keys after them would be theirs
  for (const auto& [key, entry] : values)
    if (entry.value.is_null())
      empty_sections += fmt::format("[{}]\n", key);
    else
      text += fmt::format("{} = {}\n", key, entry.value.dump());
  return text + empty_sections;
}

}  // namespace minke
