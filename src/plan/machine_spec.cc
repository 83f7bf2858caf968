#include "plan/machine_spec.h"

#include <algorithm>

#include "base/files.h"
#include "config/nearest.h"
#include "config/recipe_file.h"
#include "plan/machine_presets.h"

namespace minke {
namespace {

template <typename Visit>
void visit_keys(MachineFile& file, Visit&& visit) {
  visit_fields(file.spec, [&](const Field& field, auto& member) {
    visit(std::string(field.name), field, member);
  });
  visit_fields(file.efficiency, [&](const Field& field, auto& member) {
    visit("efficiency." + std::string(field.name), field, member);
  });
}

void check_keys(const RecipeValues& values) {
  std::vector<std::string> keys;
  MachineFile file;
  visit_keys(file, [&](const std::string& key, const Field&, const auto&) { keys.push_back(key); });
  for (const auto& [key, entry] : values)
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      fail_usage("{}: unknown key '{}', did you mean '{}'?", entry.where, key, nearest(key, keys));
}

}  // namespace

MachineFile parse_machine(const std::string& toml, const std::string& where) {
  const RecipeValues values = parse_recipe(toml, where, {});
  check_keys(values);
  MachineFile file;
  visit_keys(file, [&](const std::string& key, const Field& field, auto& member) {
    const auto found = values.find(key);
    if (found != values.end())
      read_field(found->second.value, field, found->second.where, key, member);
  });
  for (const char* key : {"name", "memory_gib", "memory_gbps"})
    if (!values.contains(key)) fail_usage("{}: {} is missing", where, key);
  if (file.spec.f32_tflops + file.spec.bf16_tflops + file.spec.fp8_tflops <= 0)
    fail_usage("{}: f32_tflops, bf16_tflops or fp8_tflops is needed", where);
  return file;
}

MachineFile load_machine(const std::string& name) {
  for (const MachinePreset& preset : machine_presets())
    if (name == preset.name) return parse_machine(preset.toml, "machine " + name);
  if (fs::is_regular_file(name)) return parse_machine(read_file(name, 1 << 20), name);
  std::string names;
  for (const std::string& known : machine_names()) names += (names.empty() ? "" : ", ") + known;
  fail_usage("there is no machine '{}': use this, {}, or a TOML file (docs/plan.md)", name, names);
}

std::vector<std::string> machine_names() {
  std::vector<std::string> names;
  for (const MachinePreset& preset : machine_presets()) names.emplace_back(preset.name);
  return names;
}

}  // namespace minke
