#pragma once
// Adapters on disk as PEFT has them: adapter_config.json and adapter_model.safetensors.

#include "base/files.h"
#include "layers/adapters.h"

namespace minke {

// Writes both files into the folder, which exists. base: the model that the adapters are for, as
// adapter_config.json is to name it.
void save_adapter(const fs::path& directory, const Adapters& adapters, const std::string& base);

// Reads A and B. An adapter of another kind, rank or alpha, one that lacks a matrix and one that
// has more are Errors that name what was found and what was expected.
void load_adapter(const fs::path& directory, const Adapters& adapters);

}  // namespace minke
