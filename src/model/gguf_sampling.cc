#include "model/gguf_sampling.h"

#include <array>
#include <cmath>

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

struct Name {
  const char *json, *gguf;
};
constexpr std::array<Name, 4> numbers = {Name{"temperature", "general.sampling.temp"},
                                         {"top_p", "general.sampling.top_p"},
                                         {"min_p", "general.sampling.min_p"},
                                         {"repetition_penalty", "general.sampling.penalty_repeat"}};
constexpr Name top_k = {"top_k", "general.sampling.top_k"};

}  // namespace

Json read_gguf_sampling(const GgufReader& file) {
  Json config = Json::object();
  for (const Name& name : numbers)
    if (const auto value = file.number(name.gguf)) config[name.json] = *value;
  if (const auto value = file.integer(top_k.gguf)) config[top_k.json] = *value;
  return config;
}

void add_gguf_sampling(const Json& generation_config, GgufMetadata& metadata) {
  Json config = generation_config;
  if (config.value("do_sample", Json(true)) == false) config["temperature"] = 0;
  for (const Name& name : numbers)
    if (config.contains(name.json) && config[name.json].is_number())
      metadata.add(name.gguf, config[name.json].get<float>());
  if (config.contains(top_k.json) && config[top_k.json].is_number_unsigned() &&
      config[top_k.json] <= INT32_MAX)
    metadata.add(top_k.gguf, config[top_k.json].get<int32_t>());
}

}  // namespace minke
