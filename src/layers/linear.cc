#include "layers/linear.h"

#include "kernels/elementwise.h"

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

Linear::Linear(const LayerBuilder& builder, std::initializer_list<std::string> names, DType dtype)
    : weight(builder.weights.weight(names)), gradient(builder.weights.gradient(names)) {
  forward = allocate_packed(builder.arena, dtype, out_features(), in_features());
  bias = joined_bias(builder.weights.flat_weights(), builder.weights, names, out_features());
  bias_gradient =
      joined_bias(builder.weights.flat_gradients(), builder.weights, names, out_features());
  if (builder.training)
    backward = allocate_packed(builder.arena, dtype, in_features(), out_features());
}

void Linear::refresh() const {
  pack(forward, weight);
  if (backward.rows) pack_transposed(backward, weight);
}

void linear_forward(const Tensor& y, const Tensor& x, const Linear& linear, bool accumulate) {
  if (linear.bias) broadcast_row(y, linear.bias, accumulate);
  matmul(y, x, linear.forward, accumulate || linear.bias);
}

void linear_backward(const Tensor& dx, const Tensor& dy, const Tensor& x, const Linear& linear,
                     bool accumulate) {
  matmul_weight_gradient(linear.gradient, dy, x, true);
  if (linear.bias) sum_rows(linear.bias_gradient, dy);
  if (dx) matmul(dx, dy, linear.backward, accumulate);
}

}  // namespace minke
