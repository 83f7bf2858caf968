#include "model/inspect.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "config/parameters.h"

namespace minke {
namespace {

void add_entry(const ModelSource& source, const std::string& name,
               std::vector<TensorEntry>& entries) {
  const auto matrix = source.find(name);
  if (!matrix) fail("{}: tensor '{}' is missing", source.where(), name);
  int64_t bytes = matrix->rows * matrix->row_bytes();
  const auto blocks = [](int64_t n) { return (n + f8_scale_block - 1) / f8_scale_block; };
  if (matrix->scales) bytes += 4 * blocks(matrix->rows) * blocks(matrix->columns);
  entries.push_back({name, matrix->format, matrix->rows, matrix->columns, bytes});
}

// The layer's number, and the name behind it.
int64_t split_layer(std::string_view& name) {
  constexpr std::string_view prefix = "model.layers.";
  int64_t layer = -1;
  if (!name.starts_with(prefix)) return layer;
  const char* begin = name.data() + prefix.size();
  const char* end = std::from_chars(begin, name.data() + name.size(), layer).ptr;
  name.remove_prefix(static_cast<size_t>(end - name.data()) + 1);
  return layer;
}

std::string kind_of(std::string_view name) {
  constexpr std::string_view experts = "mlp.experts.";
  if (!name.starts_with(experts)) return std::string(name);
  const size_t dot = name.find('.', experts.size());
  return std::string(experts) + "*" + std::string(name.substr(dot));
}

}  // namespace

std::vector<TensorEntry> list_stored_tensors(const ModelSource& source) {
  std::vector<TensorEntry> entries;
  for (const Parameter& parameter : list_parameters(source.config())) {
    if (parameter.kind == ParameterKind::tied) continue;
    const size_t at = parameter.name.find("kv_b_proj.weight");
    if (at == std::string::npos || source.contains(parameter.name)) {
      add_entry(source, parameter.name, entries);
    } else {  // a GGUF file's halves
      for (const char* half : {"k_b_proj.weight", "v_b_proj.weight"})
        add_entry(source, parameter.name.substr(0, at) + half, entries);
    }
  }
  return entries;
}

std::vector<TensorGroup> group_tensors(const ModelConfig& config,
                                       const std::vector<TensorEntry>& tensors) {
  std::vector<TensorGroup> groups;
  std::map<std::tuple<std::string, bool, BlockFormat>, size_t> index;
  for (const TensorEntry& tensor : tensors) {
    std::string_view name = tensor.name;
    const bool is_mtp = split_layer(name) >= config.num_hidden_layers;
    const std::string kind = kind_of(name);
    const auto [at, is_new] = index.try_emplace({kind, is_mtp, tensor.format}, groups.size());
    if (is_new) groups.push_back({kind, is_mtp, tensor.format, 0, 0, 0});
    TensorGroup& group = groups[at->second];
    ++group.tensors;
    group.elements += tensor.rows * tensor.columns;
    group.bytes += tensor.bytes;
  }
  std::stable_partition(groups.begin(), groups.end(),
                        [](const TensorGroup& group) { return !group.is_mtp; });
  return groups;
}

int64_t count_mtp_parameters(const ModelConfig& config) {
  int64_t count = 0;
  for (const Parameter& parameter : list_parameters(config))
    if (parameter.kind != ParameterKind::tied) count += parameter.size();
  return count - count_parameters(config);
}

}  // namespace minke
