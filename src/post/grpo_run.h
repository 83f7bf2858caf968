#pragma once
// One call for `minke grpo`: the loop around a GrpoTrainer with its metrics, samples, ledger,
// checkpoints, and the line that a person watches.

#include "config/grpo_config.h"

namespace minke {

// Trains as the recipe says and leaves RUN/ (recipe.toml, metrics.jsonl, samples.jsonl,
// verdicts.jsonl where verdicts can vary, ledger.json, checkpoints/). A folder that already holds
// a run is refused unless resume; with resume the newest sound checkpoint goes on, or the run
// starts anew if there is none.
void run_grpo(const GrpoConfig& config, bool resume);

}  // namespace minke
