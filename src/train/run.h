#pragma once
// The loop around a training, with its metrics, ledger, checkpoints, and the line that a person
// watches; and one call for `minke train`.

#include <functional>

#include "config/train_config.h"
#include "train/training.h"

namespace minke {

// What the loop needs to know of a recipe.
struct RunSettings {
  std::string command;  // "minke train", for messages
  std::string name;
  fs::path folder;
  std::string recipe;       // resolved, as TOML
  std::string data_sha256;  // of what is trained on
  int64_t total_tokens = 0;
  int64_t log_every_steps = 1;
  int64_t validate_every_tokens = 0, save_every_tokens = 0;  // 0: at the end only
  CostConfig prices;
};

// Makes the training, once the folder is known to be free, and runs it to its end. Leaves RUN/
// (recipe.toml, metrics.jsonl, ledger.json, checkpoints/). A folder that already holds a run is
// refused unless resume; with resume the newest sound checkpoint goes on, or the run starts if
// there is none. SIGINT and SIGTERM save a checkpoint and return. Not reentrant: it installs signal
// handlers for its own time. make fills in those settings that only the data tell.
// profile: also prints where the steps' time went, and leaves it in RUN/profile.json.
using MakeTraining = std::function<std::unique_ptr<Training>(Group& group, RunSettings& settings)>;
void run_training(const RunSettings& settings, const MakeTraining& make, bool resume, bool profile);

// Pre-training as the recipe says.
void run_training(const TrainConfig& config, bool resume, bool profile = false);

}  // namespace minke
