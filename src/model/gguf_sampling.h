#pragma once
// How a model wants to be sampled: generation_config.json's keys as GGUF metadata
// (general.sampling.*; the names are those of gguf-py's constants.py in llama.cpp's repository).

#include <nlohmann/json.hpp>

#include "io/gguf.h"

namespace minke {

// temperature, top_k, top_p, min_p and repetition_penalty, those that the file has; an object.
nlohmann::ordered_json read_gguf_sampling(const GgufReader& file);

// Adds those of them that are numbers; `do_sample`: false becomes a temperature of 0.
void add_gguf_sampling(const nlohmann::ordered_json& generation_config, GgufMetadata& metadata);

}  // namespace minke
