#include "infer/generation_config.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace minke {

SamplingOptions recommended_sampling(const ModelSource& source) {
  SamplingOptions options;
  const nlohmann::ordered_json json = source.generation_config();
  const auto read = [&](const char* key, double& value) {
    if (json.contains(key) && json[key].is_number()) value = json[key];
  };
  read("temperature", options.temperature);
  read("top_p", options.top_p);
  read("min_p", options.min_p);
  read("repetition_penalty", options.repetition_penalty);
  double top_k = 0;
  read("top_k", top_k);
  if (top_k > 0 && top_k < 0x1p31) options.top_k = static_cast<int64_t>(top_k);
  if (json.value("do_sample", nlohmann::ordered_json(true)) == false) options.temperature = 0;
  try {
    check_sampling(options, 0);
  } catch (const Error& error) {
    fail("{}: its recommended sampling: {}", source.where(), error.what());
  }
  return options;
}

}  // namespace minke
