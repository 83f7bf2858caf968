#pragma once
// Models by name: Minke's own small ones, DeepSeek's published ones and the R1 distillations.

#include <string>
#include <vector>

#include "config/model_config.h"

namespace minke {

// "12m", "deepseek-v3", "r1-distill-qwen-7b" ..., in order of size.
const std::vector<std::string>& preset_names();

// The model of one of these names, resolved; another name is a usage Error that lists them.
ModelConfig model_preset(const std::string& name);

}  // namespace minke
