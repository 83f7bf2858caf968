#include "cli/plan_model.h"

#include <map>

#include "config/presets.h"
#include "model/checkpoint.h"
#include "model/model_source.h"

namespace minke {
namespace {

using Formats = std::map<std::string, FormatBytes, std::less<>>;

void count(Formats& formats, std::string_view name, int64_t elements, size_t bytes) {
  FormatBytes& format = formats[std::string(name)];
  format.format = name;
  ++format.tensors;
  format.elements += elements;
  format.bytes += static_cast<int64_t>(bytes);
}

std::vector<FormatBytes> count_formats(const ModelSource& source) {
  Formats formats;
  if (source.is_gguf()) {
    const GgufReader file(source.path());
    for (const auto& [name, tensor] : file.tensors())
      count(formats, block_format_name(tensor.format), tensor.size(), tensor.data.size());
  } else {
    const SafetensorsReader files(source.path());
    for (const auto& [name, tensor] : files.tensors())
      count(formats, file_dtype_name(tensor.dtype), tensor.size(), tensor.data.size());
  }
  std::vector<FormatBytes> rows;
  for (const auto& [name, format] : formats) rows.push_back(format);
  return rows;
}

// The weight as the files have it; MLA's keys and values may stand there as two matrices.
void add_stored(std::vector<StoredWeight>& weights, const ModelSource& source,
                StoredWeight weight) {
  const std::string whole = "kv_b_proj.weight";
  if (const auto matrix = source.find(weight.name)) {
    weight.format = matrix->format;
    weights.push_back(std::move(weight));
    return;
  }
  if (!weight.name.ends_with(whole))
    fail("{}: tensor '{}' is missing; is the download complete?", source.where(), weight.name);
  const std::string prefix = weight.name.substr(0, weight.name.size() - whole.size());
  for (const char* part : {"k_b_proj.weight", "v_b_proj.weight"}) {
    const auto matrix = source.find(prefix + part);
    if (!matrix)
      fail("{}: tensor '{}' is missing, and '{}' too; is the download complete?", source.where(),
           weight.name, prefix + part);
    weights.push_back({prefix + part, weight.kind, matrix->format, matrix->rows, matrix->columns});
  }
}

PlannedModel model_of_files(const fs::path& path) {
  const ModelSource source = ModelSource::open(path);
  PlannedModel model{source.config(), {}, count_formats(source), source.dtype() == DType::f32};
  for (StoredWeight& weight : weights_in(model.config, BlockFormat::bf16))
    add_stored(model.weights, source, std::move(weight));
  return model;
}

// A folder that has been made for its configuration alone.
bool has_only_config(const fs::path& folder) {
  return fs::exists(folder / "config.json") && !fs::exists(folder / "model.safetensors") &&
         !fs::exists(folder / "model.safetensors.index.json");
}

}  // namespace

PlannedModel planned_model(const ModelConfig& config) {
  return {config, weights_in(config, BlockFormat::bf16), {}, false};
}

PlannedModel load_planned_model(const std::string& source) {
  constexpr int64_t max_bytes = 1 << 24;
  fs::path path = source;
  if (fs::is_directory(path) && has_only_config(path)) path /= "config.json";
  if (fs::is_directory(path) || (path.extension() == ".gguf" && fs::is_regular_file(path)))
    return model_of_files(path);
  if (fs::is_regular_file(path))
    return planned_model(parse_model_config(read_file(path, max_bytes), path.string()));
  if (path.extension() == ".gguf") fail_usage("{}: there is no such file", source);
  return planned_model(model_preset(source));
}

}  // namespace minke
