#pragma once
// A model's configuration as GGUF metadata, for the architectures deepseek2, llama, qwen2, qwen3.

#include <vector>

#include "config/model_config.h"
#include "io/gguf.h"

namespace minke {

// Both generations of deepseek2's keys are read (with and without attention.key_length_mla). What
// old files leave out is taken from the tensors or from DeepSeek's models. A missing key, another
// architecture, or one that Minke does not compute is an Error that names file and key. MTP
// modules count only where the file has their tensors.
ModelConfig read_gguf_config(const GgufReader& file);

// Adds general.architecture, ARCHITECTURE.* and general.name.
void add_gguf_config(const ModelConfig& config, std::string_view name, GgufMetadata& metadata);

// Llama 3's scaling as files have it: by how much each of the head_dim / 2 frequencies is divided,
// the tensor rope_freqs.weight; empty for plain RoPE and YaRN.
std::vector<float> llama3_frequency_factors(const ModelConfig& config);

}  // namespace minke
