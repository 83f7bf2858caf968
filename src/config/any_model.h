#pragma once
// A model of any family that Minke knows, by preset or by config.json.

#include <string>
#include <variant>
#include <vector>

#include "config/dense_config.h"
#include "config/model_config.h"

namespace minke {

using AnyModel = std::variant<ModelConfig, DenseConfig>;

// Minke's own presets, DeepSeek's published models ("deepseek-v3") and the R1 distillations
// ("r1-distill-qwen-7b"), in order of size.
const std::vector<std::string>& any_model_names();

// The model of one of these names; another name is a usage Error that lists them.
AnyModel any_model_preset(const std::string& name);

// config.json text of any family; `where` names it in errors.
AnyModel parse_any_model(const std::string& json, const std::string& where);

}  // namespace minke
