#include "config/train_config.h"

#include "base/files.h"
#include "config/model_folder.h"
#include "config/nearest.h"
#include "config/presets.h"
#include "config/recipe_checks.h"
#include "config/recipe_file.h"
#include "config/train_fields.h"

namespace minke {
namespace {

std::vector<std::string> all_keys() {
  TrainConfig config;
  std::vector<std::string> keys;
  visit_keys(config,
             [&](const std::string& key, const Field&, const auto&) { keys.push_back(key); });
  return keys;
}

bool is_section(const std::string& name) {
  bool found = false;
  TrainConfig config;
  visit_sections(config,
                 [&](const std::string& section, const auto&) { found |= section == name; });
  return found;
}

void check_keys(const RecipeValues& values) {
  const std::vector<std::string> keys = all_keys();
  for (const auto& [key, entry] : values) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    if (entry.value.is_null() && is_section(key)) continue;  // [data] without keys
    fail_usage("{}: unknown key '{}', did you mean '{}'?", entry.where, key, nearest(key, keys));
  }
}

void read_values(const RecipeValues& values, TrainConfig& config) {
  visit_keys(config, [&](const std::string& key, const Field& field, auto& member) {
    const auto found = values.find(key);
    if (found != values.end())
      read_field(found->second.value, field, found->second.where, key, member);
  });
}

// The model that [model]'s own keys start from.
ModelConfig source_model(const TrainConfig& config, const std::string& where) {
  if (!config.preset.empty() && !config.model_path.empty())
    fail_usage("{}: [model] has both a preset and a path, expected one of them", where);
  if (config.model_weights && config.model_path.empty())
    fail_usage("{}: model.weights is true, but there is no model.path to take them from", where);
  if (!config.preset.empty()) return model_preset(config.preset);
  if (config.model_path.empty()) return model_defaults(config.model.model_type);
  const fs::path path = config.model_path;
  if (fs::is_directory(path)) return load_model_config(resolve_model_directory(path));
  return parse_model_config(read_file(path), path.string());
}

// Keys of [model] that another family has.
void check_model_keys(const RecipeValues& values, TrainConfig& config) {
  visit_sections(config, [&](const std::string& section, auto& settings) {
    visit_fields(settings, [&](const Field& field, const auto&) {
      const auto found = values.find(fmt::format("{}.{}", section, field.name));
      if (found != values.end() && !has_field(settings, field))
        fail_usage(
            "{}: {} has no meaning for a {} model{}", found->second.where, found->first,
            enum_name(config.model.model_type),
            section == "model.rope_scaling"
                ? fmt::format(" with rope_type {}", enum_name(config.model.rope_scaling.rope_type))
                : "");
    });
  });
}

// Of the schedule, against the run's.
void check_lengths(const TrainConfig& c, const std::string& where) {
  const ScheduleConfig& s = c.schedule;
  const auto within_run = [&](std::string_view what, int64_t tokens) {
    if (tokens > c.total_tokens)
      fail_usage("{}: schedule.{} is {}, more than total_tokens = {}", where, what, tokens,
                 c.total_tokens);
  };
  within_run("warmup_tokens", s.warmup_tokens);
  if (s.kind == ScheduleKind::wsd) within_run("decay_tokens", s.decay_tokens);
  if (s.kind == ScheduleKind::deepseek_v3)
    within_run("decay_start_tokens + decay_tokens + last_tokens",
               s.decay_start_tokens + s.decay_tokens + s.last_tokens);
}

void check_train_config(const TrainConfig& c, const std::string& where) {
  if (c.total_tokens == 0) fail_usage("{}: total_tokens is missing", where);
  if (c.data.path.empty()) fail_usage("{}: data.path is missing", where);
  if (c.output.empty()) fail_usage("{}: output is empty, expected the run's folder", where);
  if (c.data.sequence_length > c.model.max_position_embeddings)
    fail_usage("{}: data.sequence_length is {}, more than model.max_position_embeddings = {}",
               where, c.data.sequence_length, c.model.max_position_embeddings);
  if (c.batch.initial_sequences > c.batch.sequences)
    fail_usage("{}: batch.initial_sequences is {}, more than batch.sequences = {}", where,
               c.batch.initial_sequences, c.batch.sequences);
  if ((c.batch.initial_sequences == 0) != (c.batch.ramp_tokens == 0))
    fail_usage("{}: batch.initial_sequences is {} and batch.ramp_tokens {}, but a ramp needs both",
               where, c.batch.initial_sequences, c.batch.ramp_tokens);
  check_optimizer(c.optimizer, where);
  parse_json(c.model.unknown_keys, where + ": model.unknown_keys");
  check_schedule(c.schedule, where);
  check_lengths(c, where);
  check_model_config(c.model, where);
}

// A field's default for the tables; the model's come from its preset or file.
template <typename T>
std::string described_default(const std::string& key, const T& member) {
  if (key.starts_with("model.") && key != "model.preset" && key != "model.path" &&
      key != "model.weights")
    return "";
  if (key == "total_tokens" || key == "data.path") return "required";
  return "`" + field_value(member).dump() + "`";
}

// " (llama, qwen3)" where only these have the key.
template <typename Settings>
std::string described_kinds(const Settings&, const Field&) {
  return "";
}
template <typename Kind>
std::string listed_kinds(uint32_t kinds) {
  std::string text;
  const auto& names = EnumNames<Kind>::names;
  for (size_t i = 0; i < names.size(); ++i)
    if (kinds >> i & 1) text += fmt::format("{}{}", text.empty() ? "" : ", ", names[i]);
  return kinds == ~0u ? "" : " (" + text + ")";
}
std::string described_kinds(const ModelConfig&, const Field& field) {
  return listed_kinds<ModelType>(field.kinds);
}
std::string described_kinds(const RopeScaling&, const Field& field) {
  return listed_kinds<RopeType>(field.kinds);
}

template <typename T>
std::string described_type() {
  std::string text = type_name<T>();
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  return text;
}

}  // namespace

TrainConfig parse_train_config(const std::string& toml, const std::string& where,
                               const std::vector<std::string>& overrides) {
  const RecipeValues values = parse_recipe(toml, where, overrides);
  check_keys(values);
  TrainConfig config;
  read_values(values, config);  // for [model] preset and path
  config.model = source_model(config, where);
  const ModelType source = config.model.model_type;
  read_values(values, config);
  if (const ModelType type = config.model.model_type;
      model_defaults(type).is_mla() != model_defaults(source).is_mla())
    fail_usage("{}: model.model_type is {}, which no key makes of a {} model", where,
               enum_name(type), enum_name(source));
  check_model_keys(values, config);
  resolve_model_config(config.model);
  check_train_config(config, where);
  return config;
}

TrainConfig load_train_config(const std::string& recipe_path,
                              const std::vector<std::string>& overrides) {
  constexpr int64_t max_bytes = 1 << 24;
  return parse_train_config(read_file(recipe_path, max_bytes), recipe_path, overrides);
}

std::string write_train_config(const TrainConfig& config) {
  TrainConfig c = config;
  if (!c.model_weights) c.model_path.clear();  // its fields are written out; the file may move
  std::string text, open_section;
  visit_sections(c, [&](const std::string& section, auto& settings) {
    if (section != open_section) text += fmt::format("\n[{}]\n", section);
    open_section = section;
    visit_fields(settings, [&](const Field& field, const auto& member) {
      if (has_field(settings, field))
        text += fmt::format("{} = {}\n", field.name, field_value(member).dump());
    });
  });
  return text;
}

std::string describe_train_config() {
  TrainConfig config;
  std::string text =
      "# Training recipes\n\n"
      "A recipe is a TOML file: `minke train RECIPE [--set section.key=value ...]`. Unknown keys "
      "and wrong\n"
      "types are errors. Every quantity that grows with the run is counted in tokens. The keys of "
      "`[model]`\n"
      "have the values of its preset or path unless they are given. This page is made from the "
      "list of\n"
      "fields in `src/config/train_fields.h`.\n";
  std::string open_section = "none";
  visit_sections(config, [&](const std::string& section, auto& settings) {
    if (section != open_section)
      text += fmt::format("\n## {}\n\n| key | type | default | meaning |\n|---|---|---|---|\n",
                          section.empty() ? "Top level" : "`[" + section + "]`");
    open_section = section;
    visit_fields(settings, [&](const Field& field, const auto& member) {
      const std::string key =
          fmt::format("{}.{}", section, field.name).substr(section.empty() ? 1 : 0);
      text +=
          fmt::format("| `{}` | {} | {} | {}{} |\n", field.name,
                      described_type<std::remove_cvref_t<decltype(member)>>(),
                      described_default(key, member), field.doc, described_kinds(settings, field));
    });
  });
  return text;
}

}  // namespace minke
