#pragma once
// One call for `minke distill`.

#include "config/distill_config.h"

namespace minke {

// Has the teacher answer where the method is samples, then trains the student as the recipe says.
// Leaves RUN/ (recipe.toml, metrics.jsonl, ledger.json, checkpoints/; of the samples also
// teacher.jsonl and samples.jsonl; verdicts.jsonl where verdicts can vary). A folder that already
// holds a run is refused unless resume; with resume sampling goes on with the first answer that is
// missing, and training from the newest sound checkpoint.
void run_distill(const DistillConfig& config, bool resume);

}  // namespace minke
