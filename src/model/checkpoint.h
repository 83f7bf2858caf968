#pragma once
// A model on disk: a Hugging Face directory. docs/formats-model.md says what is in it.

#include "base/files.h"
#include "config/model_config.h"
#include "layers/weights.h"
#include "text/tokenizer.h"

namespace minke {

// What a directory holds, known before anything is loaded.
struct StoredModel {
  ModelConfig config;  // without the MTP modules for which the files have no tensors
};

// Reads config.json and the tensors' headers. A config that claims MTP modules which the files lack
// is taken without them, and the log says so.
StoredModel inspect_model(const fs::path& directory);

// The tokenizer beside the weights. An Error if there is none, or if it has more tokens than the
// embedding has rows.
Tokenizer load_tokenizer(const fs::path& directory, const ModelConfig& config);

// Reads all parameters as f32. A missing tensor or one of another shape is an Error that names it.
void load_weights(const fs::path& directory, const Weights& weights);

// Writes config.json and model.safetensors into the folder, which exists. dtype: of the matrices;
// the gate's bias is always F32. MTP modules carry copies of the embedding and the head, as
// DeepSeek's own files do.
void save_weights(const fs::path& directory, const ModelConfig& config, const Weights& weights,
                  DType dtype);

}  // namespace minke
