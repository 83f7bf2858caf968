#pragma once
// Where a model's files lie in what a person names.

#include "base/files.h"

namespace minke {

// The Hugging Face directory that `path` means: itself, or the newest checkpoint's model of a run.
fs::path resolve_model_directory(const fs::path& path);

}  // namespace minke
