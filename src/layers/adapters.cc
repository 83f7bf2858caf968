#include "layers/adapters.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "kernels/elementwise.h"
#include "kernels/optimizer.h"

namespace minke {
namespace {

bool is_expert(const Parameter& matrix) {
  return matrix.name.find(".mlp.experts.") != std::string::npos;
}

}  // namespace

void Adapter::join(const Adapter& other) {
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(down, other.down);
  append(up, other.up);
  append(a_gradients, other.a_gradients);
  append(b_gradients, other.b_gradients);
}

void adapters_backward(std::span<const Adapter> adapters, const IndexedRows& dy,
                       const IndexedRows& x, std::span<const int64_t> offsets) {
  for (const Adapter& adapter : adapters) {
    const IndexedRows dy_of_it(dy.tensor.slice_last(adapter.begin, adapter.end), dy.index);
    const Tensor hidden = adapter.hidden.slice_rows(0, x.count());
    matmul_grouped(hidden, x, adapter.down, offsets);
    matmul_weight_gradient_grouped(adapter.b_gradients, dy_of_it, hidden, offsets, true);
    matmul_grouped(hidden, dy_of_it, adapter.up, offsets);
    matmul_weight_gradient_grouped(adapter.a_gradients, hidden, x, offsets, true);
  }
}

Adapters::Adapters(const ModelConfig& model, const LoraConfig& config, DType compute,
                   int64_t tokens, Arena& arena)
    : config_(config),
      matrices_(lora_matrices(model, config)),
      modules_(lora_modules(model, config)),
      weights_(lora_parameters(matrices_, config.rank), arena, true) {
  const int64_t rank = config.rank;
  int64_t longest = 0, rows = tokens;
  for (const Parameter& matrix : matrices_) {
    const int64_t out = matrix.shape[0], in = matrix.shape[1];
    packed_.push_back({allocate_packed(arena, DType::f32, in, rank),
                       allocate_packed(arena, compute, rank, in),
                       allocate_packed(arena, compute, rank, out)});
    index_[matrix.name] = packed_.size() - 1;
    longest = std::max({longest, in, out});
    double share = 1;
    if (is_expert(matrix)) {
      share = static_cast<double>(model.num_experts_per_tok) /
              static_cast<double>(model.n_routed_experts);
      rows = tokens * model.num_experts_per_tok;
    }
    backward_flops_ += share * 4 * static_cast<double>(rank * (in + out));
  }
  scaled_ = arena.allocate(DType::f32, {rank * longest});
  hidden_ = arena.allocate(compute, {rows, rank});
}

void Adapters::initialize() const {
  clear(weights_.flat_weights());
  for (const Parameter& matrix : matrices_) {
    const std::string name = lora_name(matrix.name, 'A');
    const Tensor a = weights_.weight(name);
    const double bound = 1 / std::sqrt(static_cast<double>(matrix.shape[1]));
    Random random(config_.seed, hash_name(name));
    for (int64_t i = 0; i < a.size(); ++i)
      a.as<float>()[i] = static_cast<float>(bound * (2 * random.uniform() - 1));
  }
}

// s·x, until the next call.
Tensor Adapters::scaled(const Tensor& x) const {
  const float scale = static_cast<float>(config_.alpha / static_cast<double>(config_.rank));
  const Tensor copy = scaled_.slice_rows(0, x.size());
  std::memcpy(copy.data, x.data, static_cast<size_t>(x.bytes()));
  blend(copy, scale, copy, 0.0f);
  return copy.reshape({x.rows(), x.columns()});
}

void Adapters::refresh() const {
  for (size_t i = 0; i < matrices_.size(); ++i) {
    const Tensor a = scaled(weights_.weight(lora_name(matrices_[i].name, 'A')));
    pack_transposed(packed_[i].merge, a);
    pack(packed_[i].down, a);
    pack_transposed(packed_[i].up, scaled(weights_.weight(lora_name(matrices_[i].name, 'B'))));
  }
}

void Adapters::merge(size_t i, const Tensor& weight) const {
  matmul(weight, weights_.weight(lora_name(matrices_[i].name, 'B')), packed_[i].merge, true);
}

std::optional<Adapter> Adapters::find(const std::string& matrix, int64_t begin) const {
  const auto found = index_.find(matrix);
  if (found == index_.end()) return std::nullopt;
  const size_t i = found->second;
  return Adapter{begin,
                 begin + matrices_[i].shape[0],
                 {packed_[i].down},
                 {packed_[i].up},
                 {weights_.gradient({lora_name(matrix, 'A')})},
                 {weights_.gradient({lora_name(matrix, 'B')})},
                 hidden_};
}

}  // namespace minke
