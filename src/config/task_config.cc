#include "config/task_config.h"

#include "config/nearest.h"
#include "config/recipe_file.h"
#include "config/task_fields.h"

namespace minke {
namespace {

template <typename Visit>
void visit_keys(TaskSettings& settings, Visit&& visit) {
  visit_sections(settings, [&](const std::string& section, auto& part) {
    visit_fields(part, [&](const Field& field, auto& member) {
      visit(fmt::format("{}.{}", section, field.name), field, member);
    });
  });
}

std::string escaped(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  return text;
}

}  // namespace

TaskSettings parse_task_settings(const std::string& toml, const std::string& where,
                                 const std::vector<std::string>& overrides) {
  RecipeValues values = parse_recipe(toml, where, overrides);
  TaskSettings settings;
  std::vector<std::string> keys;
  visit_keys(settings, [&](const std::string& key, const Field& field, auto& member) {
    keys.push_back(key);
    const auto found = values.find(key);
    if (found == values.end()) return;
    read_field(found->second.value, field, found->second.where, key, member);
    values.erase(found);
  });
  for (const auto& [key, entry] : values) {
    if (entry.value.is_null()) continue;  // a section without keys
    fail_usage("{}: unknown key '{}', did you mean '{}'?", entry.where, key, nearest(key, keys));
  }
  return settings;
}

nlohmann::ordered_json to_json(const TaskSettings& settings) {
  nlohmann::ordered_json json;
  TaskSettings visited = settings;
  visit_sections(visited, [&](const std::string& section, auto& part) {
    if (section == "text") return;
    visit_fields(part, [&](const Field& field, const auto& member) {
      json[section][std::string(field.name)] = field_value(member);
    });
  });
  return json;
}

std::string describe_task_settings() {
  TaskSettings settings;
  std::string text =
      "# Settings of tasks, rewards and the sandbox\n\n"
      "`minke data tasks` and `minke eval --task` read these sections from a TOML file or from "
      "`--set section.key=value`.\n"
      "[Tasks](tasks.md) and [rewards](rewards.md) say what they mean. This page is made from the "
      "list of fields in\n`src/config/task_fields.h`.\n";
  visit_sections(settings, [&](const std::string& section, auto& part) {
    text += fmt::format("\n## `[{}]`\n\n| key | type | default | meaning |\n|---|---|---|---|\n",
                        section);
    visit_fields(part, [&](const Field& field, const auto& member) {
      text += fmt::format("| `{}` | {} | `{}` | {} |\n", field.name,
                          escaped(type_name<std::remove_cvref_t<decltype(member)>>()),
                          field_value(member).dump(), escaped(std::string(field.doc)));
    });
  });
  return text;
}

}  // namespace minke
