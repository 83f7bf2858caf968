// The scalar truth of row_ops.h, in double where it sums.
#include "kernels/row_ops.h"

#include <algorithm>
#include <cmath>

#include "tensor/dtype.h"

namespace minke {
namespace {

void widen(float* out, const uint16_t* in, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = to_float(BFloat16{in[i]});
}

void narrow(uint16_t* out, const float* in, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = to_bfloat16(in[i]).bits;
}

float dot(const float* a, const float* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return static_cast<float>(sum);
}

float max(const float* x, int64_t n) { return *std::max_element(x, x + n); }

void add_scaled(float* y, const float* x, float a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}

void blend(float* y, float a, const float* x, float b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = a * y[i] + b * x[i];
}

void scale(float* y, float a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] *= a;
}

void add_product(float* y, const float* a, const float* b, float s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += s * a[i] * b[i];
}

void multiply(float* y, const float* a, const float* b, float s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = s * a[i] * b[i];
}

double logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }

void silu_mul(float* h, const float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) h[i] = static_cast<float>(gate[i] * logistic(gate[i]) * up[i]);
}

void silu_mul_gradient(float* dgate, float* dup, const float* dh, const float* gate,
                       const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double s = logistic(gate[i]), a = gate[i], d = dh[i];
    dgate[i] = static_cast<float>(d * up[i] * s * (1.0 + a * (1.0 - s)));
    dup[i] = static_cast<float>(d * a * s);
  }
}

void rotate_pairs(float* x, const float* cosine, const float* sine, float sign, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1], c = cosine[i], s = sign * sine[i];
    x[2 * i] = a * c - b * s;
    x[2 * i + 1] = a * s + b * c;
  }
}

void rotate_halves(float* x, const float* cosine, const float* sine, float sign, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = x[i], b = x[pairs + i], c = cosine[i], s = sign * sine[i];
    x[i] = a * c - b * s;
    x[pairs + i] = a * s + b * c;
  }
}

float sum_exp(const float* x, float shift, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i]) - shift);
  return static_cast<float>(sum);
}

void exp_scaled(float* y, const float* x, float shift, float s, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    y[i] = static_cast<float>(s * std::exp(static_cast<double>(x[i]) - shift));
}

void sigmoid(float* y, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(logistic(x[i]));
}

void adamw(float* weight, float* m, float* v, const float* gradient, float gradient_scale,
           const AdamwConstants& c, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * gradient_scale;
    m[i] = c.beta1 * m[i] + (1 - c.beta1) * g;
    v[i] = c.beta2 * v[i] + (1 - c.beta2) * g * g;
    const float step = m[i] * c.correction1 / (std::sqrt(v[i] * c.correction2) + c.epsilon);
    weight[i] -= c.learning_rate * (step + c.weight_decay * weight[i]);
  }
}

}  // namespace

const RowOps reference_row_ops = {widen,
                                  narrow,
                                  dot,
                                  max,
                                  add_scaled,
                                  blend,
                                  scale,
                                  add_product,
                                  multiply,
                                  silu_mul,
                                  silu_mul_gradient,
                                  rotate_pairs,
                                  rotate_halves,
                                  sum_exp,
                                  exp_scaled,
                                  sigmoid,
                                  adamw};

}  // namespace minke
