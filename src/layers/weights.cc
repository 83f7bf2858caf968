#include "layers/weights.h"

#include <algorithm>

#include "base/random.h"
#include "base/threads.h"

namespace minke {

Weights::Weights(const ModelConfig& config, Arena& arena, bool with_gradients)
    : parameters_(list_parameters(config)), trains_(with_gradients) {
  int64_t size = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    index_[parameter.name] = i;
    if (parameter.kind == ParameterKind::tied) continue;
    offsets_[parameter.name] = size;
    size += parameter.size();
  }
  for (const Parameter& parameter : parameters_)
    if (parameter.kind == ParameterKind::tied)
      offsets_[parameter.name] = offsets_.at(parameter.tied_to);
  flat_weights_ = arena.allocate(DType::f32, {size});
  if (with_gradients) flat_gradients_ = arena.allocate(DType::f32, {size});
}

const Parameter& Weights::find(const std::string& name) const {
  const auto found = index_.find(name);
  require(found != index_.end(), "the model has no parameter {}", name);
  return parameters_[found->second];
}

int64_t Weights::offset(const std::string& name) const { return offsets_.at(find(name).name); }

Tensor Weights::gradient(std::initializer_list<std::string> names) const {
  return trains_ ? view(flat_gradients_, names) : Tensor();
}

Weights Weights::over(const Tensor& flat) const {
  require(flat.size() == flat_weights_.size(), "{} values for {} weights", flat.size(),
          flat_weights_.size());
  Weights other = *this;
  other.flat_weights_ = flat;
  return other;
}

Tensor Weights::view(const Tensor& flat, std::initializer_list<std::string> names) const {
  const int64_t begin = offset(*names.begin());
  int64_t end = begin, rows = 0, columns = 0;
  for (const std::string& name : names) {
    const Parameter& parameter = find(name);
    require(offset(name) == end, "{} does not follow the parameter before it", name);
    end += parameter.size();
    rows += parameter.shape[0];
    columns = parameter.shape.size() > 1 ? parameter.shape[1] : 1;
  }
  require(rows * columns == end - begin, "{} and its neighbours differ in width", *names.begin());
  const Tensor part = flat.slice_rows(begin, end);
  return columns == 1 ? part : part.reshape({rows, columns});
}

void initialize_weights(const Weights& weights, double initializer_range, uint64_t seed) {
  const auto& parameters = weights.parameters();
  parallel_for(static_cast<int64_t>(parameters.size()), [&](int64_t i) {
    const Parameter& parameter = parameters[i];
    if (parameter.kind == ParameterKind::tied) return;
    float* values = weights.flat_weights().as<float>() + weights.offset(parameter.name);
    const int64_t size = parameter.size();
    if (parameter.kind == ParameterKind::norm) return void(std::fill_n(values, size, 1.0f));
    if (parameter.kind == ParameterKind::buffer || parameter.kind == ParameterKind::bias)
      return void(std::fill_n(values, size, 0.0f));
    Random random(seed, hash_name(parameter.name));
    for (int64_t j = 0; j < size; ++j)
      values[j] = static_cast<float>(initializer_range * random.normal());
  });
}

}  // namespace minke
