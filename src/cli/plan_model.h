#pragma once
// Where `minke plan` gets a model from: a preset, a config.json, or a model's files, whose formats
// are counted without reading their data.

#include <vector>

#include "config/model_config.h"
#include "plan/stored_weights.h"

namespace minke {

struct PlannedModel {
  ModelConfig config;
  std::vector<StoredWeight> weights;  // what inference loads
  std::vector<FormatBytes> formats;   // of all tensors in the files; empty if there are no files
  bool f32 = false;                   // inference computes in f32, as the files are
};

// source: a preset's name, a config.json, a GGUF file, a Hugging Face folder or a run's. Without
// weights they count as bf16.
PlannedModel load_planned_model(const std::string& source);
// A model that is not there yet.
PlannedModel planned_model(const ModelConfig& config);

}  // namespace minke
