#include "layers/weights.h"

#include <algorithm>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/blocks.h"

namespace minke {

Weights::Weights(const ModelConfig& config, Arena& arena, bool with_gradients)
    : Weights(list_parameters(config), arena, with_gradients) {}

Weights::Weights(std::vector<Parameter> parameters, Arena& arena, bool with_gradients)
    : parameters_(std::move(parameters)), trains_(with_gradients) {
  lay_out(arena, with_gradients);
}

Weights::Weights(const ModelConfig& config, Arena& arena, const WeightSource& source)
    : parameters_(list_parameters(config)), source_(&source) {
  lay_out(arena, false);
}

// Whether the parameter has a place in the flat tensors.
bool Weights::is_flat(const Parameter& parameter) const {
  return !source_ || parameter.kind == ParameterKind::norm ||
         parameter.kind == ParameterKind::bias || parameter.kind == ParameterKind::buffer;
}

void Weights::lay_out(Arena& arena, bool with_gradients) {
  int64_t size = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    index_[parameter.name] = i;
    if (parameter.kind == ParameterKind::tied || !is_flat(parameter)) continue;
    offsets_[parameter.name] = size;
    size += parameter.size();
  }
  for (const Parameter& parameter : parameters_)
    if (parameter.kind == ParameterKind::tied && offsets_.contains(parameter.tied_to))
      offsets_[parameter.name] = offsets_.at(parameter.tied_to);
  flat_weights_ = arena.allocate(DType::f32, {size});
  if (with_gradients) flat_gradients_ = arena.allocate(DType::f32, {size});
}

std::optional<StoredMatrix> Weights::find_stored(const std::string& name, int64_t rows,
                                                 int64_t columns) const {
  require(source_ != nullptr, "{} is asked for, but the weights are in memory", name);
  const std::optional<StoredMatrix> matrix = source_->find(name);
  const bool vector = rows == 1 && matrix && matrix->rows == columns && matrix->columns == 1;
  if (matrix && !vector && (matrix->rows != rows || matrix->columns != columns))
    fail("{}: tensor '{}' is {} [{}, {}], expected the shape [{}, {}]", source_->where(), name,
         block_format_name(matrix->format), matrix->rows, matrix->columns, rows, columns);
  return matrix;
}

StoredMatrix Weights::stored(const std::string& name) const {
  const Parameter& parameter = find(name);
  const std::string& owner =
      parameter.kind == ParameterKind::tied ? parameter.tied_to : parameter.name;
  const int64_t rows = parameter.shape.size() == 1 ? 1 : parameter.shape[0];
  const auto matrix = find_stored(owner, rows, parameter.size() / rows);
  if (!matrix)
    fail("{}: tensor '{}' is missing; is the download complete?", source_->where(), owner);
  return *matrix;
}

void Weights::load() const {
  for (const Parameter& parameter : parameters_) {
    if (parameter.kind == ParameterKind::tied || !is_flat(parameter)) continue;
    const StoredMatrix matrix = stored(parameter.name);
    dequantize_rows(matrix, 0, matrix.rows, flat_weights_.as<float>() + offset(parameter.name));
  }
}

std::optional<StoredMatrix> FlatSource::find(std::string_view name) const {
  const std::string key(name);
  if (!weights_.contains(key)) return std::nullopt;
  const Tensor weight = weights_.weight(key);
  const int64_t rows = weight.rank == 1 ? 1 : weight.rows();
  return StoredMatrix{BlockFormat::f32, rows, weight.size() / rows, weight.data};
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
  bool vector = false;
  for (const std::string& name : names) {
    const Parameter& parameter = find(name);
    require(offset(name) == end, "{} does not follow the parameter before it", name);
    end += parameter.size();
    rows += parameter.shape[0];
    vector = parameter.shape.size() == 1;
    columns = vector ? 1 : parameter.shape[1];
  }
  require(rows * columns == end - begin, "{} and its neighbours differ in width", *names.begin());
  const Tensor part = flat.slice_rows(begin, end);
  return vector ? part : part.reshape({rows, columns});
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
