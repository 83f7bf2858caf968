#include "layers/linear.h"

namespace minke {

Linear::Linear(const LayerBuilder& builder, std::initializer_list<std::string> names, DType dtype)
    : weight(builder.weights.weight(names)), gradient(builder.weights.gradient(names)) {
  forward = allocate_packed(builder.arena, dtype, out_features(), in_features());
  if (builder.training)
    backward = allocate_packed(builder.arena, dtype, in_features(), out_features());
}

void Linear::refresh() const {
  pack(forward, weight);
  if (backward.rows) pack_transposed(backward, weight);
}

void linear_forward(const Tensor& y, const Tensor& x, const Linear& linear, bool accumulate) {
  matmul(y, x, linear.forward, accumulate);
}

void linear_backward(const Tensor& dx, const Tensor& dy, const Tensor& x, const Linear& linear,
                     bool accumulate) {
  matmul_weight_gradient(linear.gradient, dy, x, true);
  if (dx) matmul(dx, dy, linear.backward, accumulate);
}

}  // namespace minke
