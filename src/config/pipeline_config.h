#pragma once
// A recipe of several stages: what `minke run RECIPE` reads from TOML. docs/run.md explains it.

#include <string>
#include <vector>

#include "config/recipe_file.h"
#include "config/train_config.h"

namespace minke {

// [[stage]]: one call of minke.
struct StageConfig {
  std::string name;                  // a word; its folder is OUTPUT/name
  std::vector<std::string> command;  // "train", "data", "tasks" ...: what follows `minke`
  std::string recipe;                // TOML for {recipe} in the command; "": none
};

struct PipelineConfig {
  std::string name = "run", output = "runs/run";
  CostConfig cost;  // of stages that write no ledger of their own
  std::vector<StageConfig> stages;
};

// Reads the recipe. An override is "output=...", or "STAGE.key=value" for a key of that stage's
// recipe. In commands and in the recipes' strings, {output} is the run's folder, {STAGE} that of an
// earlier stage (or of this one); in commands, {recipe} is the path of the stage's own recipe.
// Stages of training (train, sft, grpo, distill) have {recipe} and --resume added and their
// recipe's `output` set. Errors are usage Errors that name file, line and key.
PipelineConfig load_pipeline_config(const std::string& path,
                                    const std::vector<std::string>& overrides);
PipelineConfig parse_pipeline_config(const std::string& toml, const std::string& where,
                                     const std::vector<std::string>& overrides);

// Whether a stage leaves a run in its folder: metrics, a ledger, checkpoints.
bool leaves_run(const StageConfig& stage);

// Where the recipe of a stage is written for its command.
std::string stage_recipe_path(const PipelineConfig& config, const StageConfig& stage);

}  // namespace minke
