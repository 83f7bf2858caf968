#pragma once
// `minke run`: the stages of a recipe, one after the other, each a call of this program.

#include "base/files.h"
#include "config/pipeline_config.h"

namespace minke {

// What a stage did. RUN/stages.json keeps these.
struct StageRecord {
  std::string name;
  std::vector<std::string> command;
  std::string sha256;                       // of its command, its recipe and the stages before it
  double seconds = 0.0, cpu_seconds = 0.0;  // of all sessions
  double cost = 0.0;                        // its ledger's, or by the cores that were granted
  bool finished = false;
};

struct PipelineRecord {
  std::string name, currency;
  std::vector<StageRecord> stages;
};

// Runs what is not finished yet. A stage of training that was interrupted goes on where it stopped.
// A stage whose command or recipe has changed since it was run is a usage Error, as its folder
// holds something else. A stage that fails ends the run with an Error that names it; SIGINT and
// SIGTERM let the stage save and end the run with an Error that says how to go on. A folder that
// another call works in, or a stage that outlived one, is an Error too. Leaves
// RUN/stages.json, RUN/recipes/, RUN/outputs/ (what each stage printed), and RUN/report.html and
// report.md once all stages are finished. Not reentrant: it installs signal handlers for its own
// time.
void run_pipeline(const PipelineConfig& config, const std::string& recipe_path);

// Reads RUN/stages.json.
PipelineRecord load_pipeline_record(const fs::path& run);

// The stages with their times and costs, for a person to read.
std::string stage_table(const PipelineRecord& record);

}  // namespace minke
