#include "config/pipeline_config.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "base/files.h"
#include "config/nearest.h"
#include "config/recipe_sections.h"
#include "config/train_fields.h"

namespace minke {

template <typename Visit>
void visit_fields(PipelineConfig& c, Visit&& visit) {
  visit(Field{"name", "what the run is called in reports"}, c.name);
  visit(Field{"output", "the run's folder"}, c.output);
}

template <typename Visit>
void visit_sections(PipelineConfig& c, Visit&& visit) {
  visit(std::string(), c);
  visit(std::string("cost"), c.cost);
}

namespace {

constexpr int64_t max_bytes = 1 << 24;
const std::string recipe_prefix = "recipe.";

// A stage as it stands in the file, with what it takes from `like` and `from`.
struct StageValues {
  std::string name, command, where;
  RecipeValues recipe;  // without the prefix
};

std::string text_of(const RecipeValues& values, const std::string& key) {
  const auto found = values.find(key);
  if (found == values.end()) return "";
  if (!found->second.value.is_string())
    fail_usage("{}: {} is {}, expected a string", found->second.where, key,
               found->second.value.dump());
  return found->second.value.get<std::string>();
}

void check_stage_name(const std::string& name, const std::string& where) {
  const bool word = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!word || name == "output" || name == "recipe" || name == "recipes" || name == "cost")
    fail_usage(
        "{}: a stage's name is \"{}\", expected a word of a-z, 0-9, _ and -, and not "
        "output, recipe, recipes or cost",
        where, name);
}

class Reader {
 public:
  explicit Reader(std::string where) : where_(std::move(where)) {}

  StageValues read(const RecipeValues& values) {
    StageValues stage;
    stage.where = values.empty() ? where_ : values.begin()->second.where;
    stage.name = text_of(values, "name");
    check_stage_name(stage.name, stage.where);
    if (stages_.contains(stage.name))
      fail_usage("{}: two stages have the name {}", stage.where, stage.name);
    start(stage, values);
    if (values.contains("command")) stage.command = text_of(values, "command");
    for (const auto& [key, entry] : values) read_key(stage, key, entry);
    if (stage.command.empty())
      fail_usage("{}: stage {} has no command, for instance command = \"train\"", stage.where,
                 stage.name);
    stages_[stage.name] = stage;
    return stage;
  }

 private:
  // What the stage begins with: another one's command and recipe, or the recipe in a file.
  void start(StageValues& stage, const RecipeValues& values) {
    const std::string like = text_of(values, "like"), from = text_of(values, "from");
    if (!like.empty()) {
      const auto found = stages_.find(like);
      if (found == stages_.end())
        fail_usage("{}: stage {} is to be like {}, which no earlier stage is called", stage.where,
                   stage.name, like);
      stage.command = found->second.command;
      stage.recipe = found->second.recipe;
    }
    if (from.empty()) return;
    const fs::path file = fs::path(where_).parent_path() / from;
    for (auto& [key, entry] : parse_recipe(read_file(file, max_bytes), file.string(), {}))
      stage.recipe[key] = entry;
  }

  static void read_key(StageValues& stage, const std::string& key, const RecipeValue& entry) {
    if (key.starts_with(recipe_prefix)) {
      stage.recipe[key.substr(recipe_prefix.size())] = entry;
    } else if (key != "name" && key != "command" && key != "like" && key != "from" &&
               key != "recipe") {
      fail_usage("{}: unknown key '{}' of a stage, did you mean '{}'?", entry.where, key,
                 nearest(key, {"name", "command", "like", "from", "recipe"}));
    }
  }

  std::string where_;
  std::map<std::string, StageValues> stages_;
};

using Places = std::map<std::string, std::string>;

// Replaces {name} by its place; other braces stay.
std::string filled(const std::string& text, const Places& places) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text[at] == '{' ? text.find('}', at) : std::string::npos;
    const auto found =
        end == std::string::npos ? places.end() : places.find(text.substr(at + 1, end - at - 1));
    if (found == places.end()) {
      out += text[at++];
    } else {
      out += found->second;
      at = end + 1;
    }
  }
  return out;
}

std::vector<std::string> words_of(const std::string& command, const Places& places,
                                  const StageValues& stage) {
  std::vector<std::string> words;
  std::istringstream stream(command);
  for (std::string word; stream >> word;) {
    word = filled(word, places);
    if (const size_t brace = word.find('{'); brace != std::string::npos)
      fail_usage(
          "{}: the command of stage {} has {}, which is neither {{output}}, {{recipe}} nor "
          "an earlier stage",
          stage.where, stage.name, word.substr(brace));
    words.push_back(std::move(word));
  }
  return words;
}

void fill_strings(nlohmann::json& value, const Places& places) {
  if (value.is_string()) value = filled(value.get<std::string>(), places);
  if (value.is_array())
    for (nlohmann::json& element : value) fill_strings(element, places);
}

StageConfig resolve(const PipelineConfig& config, StageValues stage, Places& places) {
  StageConfig result;
  result.name = stage.name;
  const fs::path folder = fs::path(config.output) / stage.name;
  places[stage.name] = folder.string();
  places["recipe"] = stage_recipe_path(config, result);
  result.command = words_of(stage.command, places, stage);
  for (auto& [key, entry] : stage.recipe) fill_strings(entry.value, places);
  if (leaves_run(result)) {
    if (result.command.size() == 1)
      for (const std::string& word : {places["recipe"], std::string("--resume")})
        result.command.push_back(word);
    stage.recipe["output"] = {folder.string(), stage.where};
    if (!stage.recipe.contains("name")) stage.recipe["name"] = {stage.name, stage.where};
  }
  if (!stage.recipe.empty()) result.recipe = write_recipe_values(stage.recipe);
  return result;
}

// Overrides of the run itself stay; those of stages go into their recipes.
std::vector<std::string> apply_overrides(const std::vector<std::string>& overrides,
                                         std::vector<StageValues>& stages) {
  std::vector<std::string> own;
  for (const std::string& text : overrides) {
    const size_t dot = std::min(text.find('.'), text.find('='));
    const auto stage = std::find_if(stages.begin(), stages.end(), [&](const StageValues& s) {
      return s.name == text.substr(0, dot);
    });
    if (stage == stages.end() || dot == std::string::npos || text[dot] != '.') {
      own.push_back(text);
      continue;
    }
    for (auto& [key, entry] : parse_recipe("", "", {text.substr(dot + 1)}))
      stage->recipe[key] = {entry.value, "--set " + text};
  }
  return own;
}

}  // namespace

bool leaves_run(const StageConfig& stage) {
  const std::string& command = stage.command.at(0);
  return command == "train" || command == "sft" || command == "grpo" || command == "distill";
}

std::string stage_recipe_path(const PipelineConfig& config, const StageConfig& stage) {
  return (fs::path(config.output) / "recipes" / (stage.name + ".toml")).string();
}

PipelineConfig parse_pipeline_config(const std::string& toml, const std::string& where,
                                     const std::vector<std::string>& overrides) {
  Reader reader(where);
  std::vector<StageValues> stages;
  for (const RecipeValues& values : parse_recipe_list(toml, where, "stage"))
    stages.push_back(reader.read(values));
  if (stages.empty()) fail_usage("{}: there is no [[stage]]", where);
  RecipeValues own = parse_recipe(toml, where, apply_overrides(overrides, stages));
  own.erase("stage");
  PipelineConfig config = read_recipe<PipelineConfig>(own);
  Places places{{"output", config.output}};
  for (StageValues& stage : stages)
    config.stages.push_back(resolve(config, std::move(stage), places));
  return config;
}

PipelineConfig load_pipeline_config(const std::string& path,
                                    const std::vector<std::string>& overrides) {
  return parse_pipeline_config(read_file(path, max_bytes), path, overrides);
}

}  // namespace minke
