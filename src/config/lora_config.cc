#include "config/lora_config.h"

#include <algorithm>
#include <set>

#include "base/error.h"

namespace minke {
namespace {

constexpr std::string_view all_linear = "all-linear";

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const size_t first = part.find_first_not_of(' '), last = part.find_last_not_of(' ');
    names.emplace_back(first == part.npos ? "" : part.substr(first, last - first + 1));
    begin = end + 1;
  }
  return names;
}

// "q_proj" of "model.layers.0.self_attn.q_proj.weight".
std::string module_of(const std::string& name) {
  const size_t end = name.rfind('.'), begin = name.rfind('.', end - 1) + 1;
  return name.substr(begin, end - begin);
}

// The matrices of the decoder's layers, without MTP modules.
std::vector<Parameter> layer_matrices(ModelConfig model) {
  model.num_nextn_predict_layers = 0;
  std::vector<Parameter> matrices;
  for (Parameter& parameter : list_parameters(model))
    if (parameter.kind == ParameterKind::matrix) matrices.push_back(std::move(parameter));
  return matrices;
}

std::set<std::string> modules_of(const std::vector<Parameter>& matrices) {
  std::set<std::string> names;
  for (const Parameter& matrix : matrices) names.insert(module_of(matrix.name));
  return names;
}

}  // namespace

std::vector<std::string> lora_modules(const ModelConfig& model, const LoraConfig& lora) {
  const std::set<std::string> known = modules_of(layer_matrices(model));
  if (lora.targets == all_linear) return {known.begin(), known.end()};
  std::set<std::string> names;
  for (const std::string& name : split_names(lora.targets)) {
    if (!known.contains(name)) {
      std::string list;
      for (const std::string& other : known) list += ", " + other;
      fail_usage("lora.targets has '{}', this model has {}{}", name, all_linear, list);
    }
    names.insert(name);
  }
  return {names.begin(), names.end()};
}

std::vector<Parameter> lora_matrices(const ModelConfig& model, const LoraConfig& lora) {
  const std::vector<std::string> modules = lora_modules(model, lora);
  std::vector<Parameter> matrices = layer_matrices(model);
  std::erase_if(matrices, [&](const Parameter& matrix) {
    return std::find(modules.begin(), modules.end(), module_of(matrix.name)) == modules.end();
  });
  return matrices;
}

std::string lora_name(const std::string& matrix, char a_or_b) {
  return fmt::format("{}.lora_{}.weight", matrix.substr(0, matrix.rfind('.')), a_or_b);
}

std::vector<Parameter> lora_parameters(const std::vector<Parameter>& matrices, int64_t rank) {
  std::vector<Parameter> parameters;
  for (const Parameter& matrix : matrices) {
    parameters.push_back(
        {lora_name(matrix.name, 'A'), {rank, matrix.shape[1]}, ParameterKind::matrix, ""});
    parameters.push_back(
        {lora_name(matrix.name, 'B'), {matrix.shape[0], rank}, ParameterKind::matrix, ""});
  }
  return parameters;
}

void check_lora_config(const LoraConfig& lora, const OptimizerConfig& optimizer,
                       const std::string& where) {
  if (!lora.is_on()) {
    if (!lora.adapter.empty())
      fail_usage("{}: lora.adapter is \"{}\", but lora.rank is 0; set the adapter's rank", where,
                 lora.adapter);
    return;
  }
  if (!(lora.alpha > 0))
    fail_usage("{}: lora.alpha is {}, expected more than 0", where, lora.alpha);
  if (optimizer.ema_decay > 0)
    fail_usage("{}: optimizer.ema_decay is {}, expected 0 with lora.rank above 0", where,
               optimizer.ema_decay);
}

}  // namespace minke
