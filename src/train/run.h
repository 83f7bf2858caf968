#pragma once
// One call for `minke train`: the loop around a Trainer with its metrics, ledger, checkpoints, and
// the line that a person watches.

#include "config/train_config.h"

namespace minke {

// Trains as the recipe says and leaves RUN/ (recipe.toml, metrics.jsonl, ledger.json,
// checkpoints/). A folder that already holds a run is refused unless resume; with resume the newest
// sound checkpoint goes on, or the run starts if there is none. SIGINT and SIGTERM save a
// checkpoint and return. Not reentrant: it installs signal handlers for its own time.
// profile: also prints where the steps' time went, and leaves it in RUN/profile.json.
void run_training(const TrainConfig& config, bool resume, bool profile = false);

}  // namespace minke
