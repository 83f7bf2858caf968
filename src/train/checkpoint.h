#pragma once
// A run's checkpoints: RUN/checkpoints/step-N/{model/, ema/, adapter/, trainer/, checksums.txt}.
// docs/formats-run.md tells what is in them.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "config/model_config.h"
#include "layers/adapters.h"
#include "layers/weights.h"

namespace minke {

// Where a run stands, beside its tensors.
struct TrainPosition {
  int64_t step = 0;       // steps done
  int64_t tokens = 0;     // trained on
  int64_t sequences = 0;  // consumed from the data's order
  int64_t updates = 0;    // optimiser steps: fewer than step if some were skipped
  int64_t skipped = 0;    // steps left out because of a non-finite loss
};

// The folder that a step's checkpoint has.
fs::path checkpoint_folder(const fs::path& run, int64_t step);

// What a checkpoint is made of.
struct CheckpointContent {
  ModelConfig config;
  DType dtype = DType::bf16;  // of the models' matrices
  // Hugging Face directories by folder name: model/, and ema/ if an average is kept.
  std::vector<std::pair<std::string, Weights>> models;
  std::vector<std::pair<std::string, Tensor>> state;  // f32 or bf16, for resuming
  std::vector<fs::path> files;                        // copied into each model (the tokenizer's)
  std::vector<std::pair<std::string, std::string>> notes{};  // further files of trainer/, by name
  const Adapters* adapters = nullptr;  // also written into adapter/, with the model's base
  std::string base{};
};

// Writes one, whole or not at all, and then removes all but the last `keep` up to it.
void save_checkpoint(const fs::path& run, const TrainPosition& position,
                     const CheckpointContent& content, int64_t keep);

// The newest checkpoint whose checksums hold; damaged ones are named in the log. Nothing when there
// is none at all; an Error when all are damaged.
std::optional<fs::path> find_checkpoint(const fs::path& run);

// Reads what save_checkpoint wrote into the same tensors. An Error names what does not fit.
TrainPosition load_checkpoint(const fs::path& checkpoint,
                              const std::vector<std::pair<std::string, Tensor>>& tensors);

}  // namespace minke
