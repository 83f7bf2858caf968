#pragma once
// Reading, writing and describing a recipe whose sections and fields are listed once, by
// visit_sections(config, visit) and visit_fields(section, visit).

#include <vector>

#include "config/fields.h"
#include "config/nearest.h"
#include "config/recipe_file.h"

namespace minke {

// Calls visit(key, field, member) for every key of a recipe, "data.path".
template <typename Config, typename Visit>
void visit_recipe_keys(Config& config, Visit&& visit) {
  visit_sections(config, [&](const std::string& section, auto& settings) {
    visit_fields(settings, [&](const Field& field, auto& member) {
      visit(section.empty() ? std::string(field.name) : fmt::format("{}.{}", section, field.name),
            field, member);
    });
  });
}

// Reads the values into a recipe of defaults. An unknown key, a wrong type and a number out of its
// bounds are usage Errors.
template <typename Config>
Config read_recipe(const RecipeValues& values) {
  Config config;
  std::vector<std::string> keys, sections;
  visit_sections(config,
                 [&](const std::string& section, const auto&) { sections.push_back(section); });
  visit_recipe_keys(config, [&](const std::string& key, const Field& field, auto& member) {
    keys.push_back(key);
    const auto found = values.find(key);
    if (found != values.end())
      read_field(found->second.value, field, found->second.where, key, member);
  });
  for (const auto& [key, entry] : values) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    const bool section = std::find(sections.begin(), sections.end(), key) != sections.end();
    if (entry.value.is_null() && section) continue;  // [data] without keys
    fail_usage("{}: unknown key '{}', did you mean '{}'?", entry.where, key, nearest(key, keys));
  }
  return config;
}

// TOML that reads back as the same configuration.
template <typename Config>
std::string write_recipe(Config config) {
  std::string text;
  visit_sections(config, [&](const std::string& section, auto& settings) {
    if (!section.empty()) text += fmt::format("\n[{}]\n", section);
    visit_fields(settings, [&](const Field& field, const auto& member) {
      text += fmt::format("{} = {}\n", field.name, field_value(member).dump());
    });
  });
  return text;
}

// Markdown tables of all keys: type, default, meaning.
template <typename Config>
std::string describe_recipe() {
  Config config;
  std::string text;
  visit_sections(config, [&](const std::string& section, auto& settings) {
    text += fmt::format("\n## {}\n\n| key | type | default | meaning |\n|---|---|---|---|\n",
                        section.empty() ? "Top level" : "`[" + section + "]`");
    visit_fields(settings, [&]<typename T>(const Field& field, const T& member) {
      std::string type = type_name<T>();
      for (size_t at = 0; (at = type.find('|', at)) != std::string::npos; at += 2)
        type.insert(at, "\\");
      text += fmt::format("| `{}` | {} | `{}` | {} |\n", field.name, type,
                          field_value(member).dump(), field.doc);
    });
  });
  return text;
}

}  // namespace minke
