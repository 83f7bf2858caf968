#include "model/adapter_files.h"

#include <nlohmann/json.hpp>

#include "config/json.h"
#include "io/safetensors.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* config_file = "adapter_config.json";
constexpr const char* tensor_file = "adapter_model.safetensors";

std::string peft_name(const Parameter& parameter) { return "base_model.model." + parameter.name; }

Json peft_config(const Adapters& adapters, const std::string& base) {
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", base},
          {"r", adapters.config().rank},
          {"lora_alpha", adapters.config().alpha},
          {"target_modules", adapters.modules()},
          {"lora_dropout", 0.0},
          {"bias", "none"},
          {"use_rslora", false},
          {"use_dora", false},
          {"fan_in_fan_out", false},
          {"inference_mode", true}};
}

// What the file says of a key must be what Minke computes with.
void check_key(const Json& config, const fs::path& path, const char* key, const Json& expected,
               bool required) {
  const auto found = config.find(key);
  if (found == config.end() && !required) return;
  const Json value = found == config.end() ? Json() : *found;
  if (value != expected)
    fail("{}: {} is {}, expected {}", path.string(), key, shown(value), shown(expected));
}

void check_config(const fs::path& path, const LoraConfig& lora) {
  constexpr int64_t max_bytes = 1 << 24;
  const Json config = parse_json(read_file(path, max_bytes), path.string());
  if (!config.is_object()) fail("{} is no JSON object", path.string());
  check_key(config, path, "peft_type", "LORA", true);
  check_key(config, path, "r", lora.rank, true);
  check_key(config, path, "lora_alpha", lora.alpha, true);
  check_key(config, path, "bias", "none", false);
  for (const char* key : {"use_rslora", "use_dora", "fan_in_fan_out"})
    check_key(config, path, key, false, false);
  for (const char* key : {"rank_pattern", "alpha_pattern"})
    check_key(config, path, key, Json::object(), false);
}

}  // namespace

void save_adapter(const fs::path& directory, const Adapters& adapters, const std::string& base) {
  write_file(directory / config_file, peft_config(adapters, base).dump(2) + "\n");
  const Weights& weights = adapters.weights();
  std::vector<TensorDeclaration> declarations;
  for (const Parameter& parameter : weights.parameters())
    declarations.push_back({peft_name(parameter), FileDType::f32, parameter.shape});
  SafetensorsWriter writer =
      SafetensorsWriter::file(directory / tensor_file, std::move(declarations));
  for (const Parameter& parameter : weights.parameters())
    writer.write_f32(peft_name(parameter), {weights.weight(parameter.name).as<float>(),
                                            static_cast<size_t>(parameter.size())});
  writer.commit();
}

void load_adapter(const fs::path& directory, const Adapters& adapters) {
  check_config(directory / config_file, adapters.config());
  const SafetensorsReader file(directory / tensor_file);
  const Weights& weights = adapters.weights();
  for (const Parameter& parameter : weights.parameters())
    file.copy_as_f32(peft_name(parameter), parameter.shape,
                     weights.weight(parameter.name).as<float>());
  if (file.tensors().size() == weights.parameters().size()) return;
  for (const auto& [name, tensor] : file.tensors()) {
    const size_t prefix = std::string_view("base_model.model.").size();
    if (!name.starts_with("base_model.model.") || !weights.contains(name.substr(prefix)))
      fail("{}: the adapter has {}, which lora.targets leaves out", tensor.file, name);
  }
}

}  // namespace minke
