#pragma once
// Whether written files hold the model that they were made from.

#include <map>
#include <string>

#include "model/model_source.h"

namespace minke {

// Of each parameter: Σ of the squared errors of all tensors that it went into.
using ParameterErrors = std::map<std::string, double>;

// Opens what was written and compares configuration, every parameter's values, the tokenizer and
// the chat template with the source's. A difference is an Error that names it.
void check_conversion(const ModelSource& source, const fs::path& written,
                      const ParameterErrors& errors);

}  // namespace minke
