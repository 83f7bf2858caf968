#include "infer/generation_config.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "config/json.h"

namespace minke {

SamplingOptions recommended_sampling(const ModelSource& source) {
  SamplingOptions options;
  const fs::path file = source.path() / "generation_config.json";
  if (source.is_gguf() || !fs::exists(file)) return options;
  constexpr int64_t most_bytes = 1 << 20;
  const nlohmann::ordered_json json = parse_json(read_file(file, most_bytes), file.string());
  const auto read = [&](const char* key, double& value) {
    if (json.is_object() && json.contains(key) && json[key].is_number()) value = json[key];
  };
  read("temperature", options.temperature);
  read("top_p", options.top_p);
  read("repetition_penalty", options.repetition_penalty);
  double top_k = 0;
  read("top_k", top_k);
  if (top_k > 0 && top_k < 0x1p31) options.top_k = static_cast<int64_t>(top_k);
  if (json.is_object() && json.value("do_sample", nlohmann::ordered_json(true)) == false)
    options.temperature = 0;
  try {
    check_sampling(options, 0);
  } catch (const Error& error) {
    fail("{}: {}", file.string(), error.what());
  }
  return options;
}

}  // namespace minke
