#pragma once
// RMSNorm as a layer: a weight, its gradient and ε. The arithmetic is kernels/norm.h's.

#include "kernels/norm.h"
#include "layers/linear.h"

namespace minke {

struct RmsNorm {
  Tensor weight, gradient;  // f32 [n]
  float epsilon = 1e-6f;

  RmsNorm() = default;
  RmsNorm(const LayerBuilder& builder, const std::string& name)
      : weight(builder.weights.weight(name)),
        gradient(builder.weights.gradient({name})),
        epsilon(static_cast<float>(builder.config.rms_norm_eps)) {}

  void forward(const Tensor& y, const Tensor& x) const { rms_norm_forward(y, x, weight, epsilon); }
  void backward(const Tensor& dx, const Tensor& dy, const Tensor& x, bool accumulate) const {
    rms_norm_backward(dx, gradient, dy, x, weight, epsilon, accumulate);
  }
};

}  // namespace minke
