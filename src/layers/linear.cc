#include "layers/linear.h"

#include <algorithm>
#include <array>

#include "kernels/elementwise.h"
#include "kernels/profile.h"

namespace minke {
namespace {

std::string bias_name(const std::string& weight_name) {
  return weight_name.substr(0, weight_name.rfind('.')) + ".bias";
}

// The biases of the matrices `names` as one, out of the flat weights or gradients: they lie next to
// each other in the same order.
Tensor joined_bias(const Tensor& flat, const Weights& weights,
                   std::initializer_list<std::string> names, int64_t rows) {
  const std::string first = bias_name(*names.begin()), last = bias_name(*(names.end() - 1));
  if (flat.rank == 0 || !weights.contains(first)) return {};
  const int64_t begin = weights.offset(first);
  require(weights.offset(last) + weights.weight(last).size() == begin + rows,
          "{} and the biases after it are no neighbours", first);
  return flat.slice_rows(begin, begin + rows);
}

}  // namespace

Linear::Linear(const LayerBuilder& builder, std::initializer_list<std::string> names, DType dtype) {
  if (builder.weights.stays_in_source()) {
    for (const std::string& name : names) stored.push_back(builder.weights.stored(name));
    allocate_stored(builder, dtype);
    bias = joined_bias(builder.weights.flat_weights(), builder.weights, names, out_features());
    return;
  }
  weight = builder.weights.weight(names);
  gradient = builder.weights.gradient(names);
  bias = joined_bias(builder.weights.flat_weights(), builder.weights, names, weight.rows());
  bias_gradient =
      joined_bias(builder.weights.flat_gradients(), builder.weights, names, weight.rows());
  forward = {allocate_packed(builder.arena, dtype, weight.rows(), weight.columns())};
  if (builder.training)
    backward = allocate_packed(builder.arena, dtype, weight.columns(), weight.rows());
  if (builder.adapters) find_adapters(builder, names);
}

void Linear::find_adapters(const LayerBuilder& builder, std::initializer_list<std::string> names) {
  int64_t column = 0;
  for (const std::string& name : names) {
    if (auto adapter = builder.adapters->find(name, column)) adapters.push_back(*adapter);
    column += builder.weights.weight(name).rows();
  }
}

void Linear::allocate_stored(const LayerBuilder& builder, DType dtype) {
  Arena& arena = builder.arena;
  const auto packing = [&](const StoredMatrix& m) { return packing_of(m.format, dtype); };
  if (builder.map_weights) {
    for (const StoredMatrix& m : stored) forward.push_back(map_stored(m, packing(m)));
    return;
  }
  const bool joined = std::all_of(stored.begin(), stored.end(), [&](const StoredMatrix& m) {
    return packing(m) == packing(stored[0]);
  });
  if (joined) {
    int64_t rows = 0;
    for (const StoredMatrix& m : stored) rows += m.rows;
    forward = {allocate_packed(arena, packing(stored[0]), rows, stored[0].columns)};
  } else {
    for (const StoredMatrix& m : stored)
      forward.push_back(allocate_packed(arena, packing(m), m.rows, m.columns));
  }
}

int64_t Linear::out_features() const {
  int64_t rows = 0;
  for (const PackedMatrix& part : forward) rows += part.rows;
  return rows;
}

void Linear::refresh() const {
  if (weight) {
    pack(forward[0], weight);
    if (backward.rows) pack_transposed(backward, weight);
    return;
  }
  int64_t row = 0;
  for (size_t i = 0; i < stored.size() && !forward[0].is_mapped(); ++i) {
    const bool joined = forward.size() == 1;
    pack_stored(forward[joined ? 0 : i], stored[i], joined ? row : 0);
    row += stored[i].rows;
  }
}

void linear_forward(const Tensor& y, const Tensor& x, const Linear& linear, bool accumulate) {
  if (linear.bias) broadcast_row(y, linear.bias, accumulate);
  int64_t column = 0;
  for (const PackedMatrix& part : linear.forward) {
    matmul(y.slice_last(column, column + part.rows), x, part, accumulate || linear.bias);
    column += part.rows;
  }
}

void linear_swiglu_forward(const Tensor& gate_up, const Tensor& h, const Tensor& x,
                           const Linear& linear) {
  if (linear.forward.size() == 1 && !linear.bias) {
    const std::array<int64_t, 2> all = {0, x.rows()};
    return matmul_swiglu(gate_up, h, x, linear.forward, all);
  }
  linear_forward(gate_up, x, linear);
  silu_mul_forward(h, gate_up);
}

void linear_backward(const Tensor& dx, const Tensor& dy, const Tensor& x, const Linear& linear,
                     bool accumulate) {
  const std::array<int64_t, 2> all = {0, x.rows()};
  if (linear.gradient) matmul_weight_gradient(linear.gradient, dy, x, true);
  adapters_backward(linear.adapters, dy, x, all);
  if (linear.bias_gradient) sum_rows(linear.bias_gradient, dy);
  if (!dx) return;
  const ProfileScope scope("input gradient", limit_of(dy.dtype),
                           product_work(dy.rows(), dy.columns(), dx.columns()));
  matmul(dx, dy, linear.backward, accumulate);
}

}  // namespace minke
