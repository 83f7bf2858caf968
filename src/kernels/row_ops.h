#pragma once
// Primitives on f32 rows, from which the memory-bound kernels are made: a kernel loads a row
// (widening bf16), calls these while it lies in the first-level cache, and stores it. Internal to
// kernels/.

#include <cstdint>

namespace minke {

// One AdamW step's constants; see optimizer.h.
struct AdamwConstants {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  float correction1, correction2;  // 1 / (1 − βᵗ)
};

// n: elements. Outputs may alias inputs of the same position. Sums have an order fixed by n.
struct RowOps {
  void (*widen)(float* out, const uint16_t* in, int64_t n);   // bf16 to f32
  void (*narrow)(uint16_t* out, const float* in, int64_t n);  // f32 to bf16, nearest even
  float (*dot)(const float* a, const float* b, int64_t n);
  float (*max)(const float* x, int64_t n);                               // n > 0
  void (*add_scaled)(float* y, const float* x, float a, int64_t n);      // y += a·x
  void (*blend)(float* y, float a, const float* x, float b, int64_t n);  // y = a·y + b·x
  void (*scale)(float* y, float a, int64_t n);                           // y = a·y
  void (*add_product)(float* y, const float* a, const float* b, float s, int64_t n);  // y += s·a·b
  void (*multiply)(float* y, const float* a, const float* b, float s, int64_t n);     // y = s·a·b
  void (*silu_mul)(float* h, const float* gate, const float* up, int64_t n);  // silu(gate)·up
  void (*silu_mul_gradient)(float* dgate, float* dup, const float* dh, const float* gate,
                            const float* up, int64_t n);
  // Pairs (x[2i], x[2i+1]) rotated by the angle whose cosine and sine are given; sine times `sign`.
  void (*rotate_pairs)(float* x, const float* cosine, const float* sine, float sign, int64_t pairs);
  // The same with pairs (x[i], x[pairs + i]).
  void (*rotate_halves)(float* x, const float* cosine, const float* sine, float sign,
                        int64_t pairs);
  float (*sum_exp)(const float* x, float shift, int64_t n);  // Σ exp(x − shift)
  void (*exp_scaled)(float* y, const float* x, float shift, float s,
                     int64_t n);  // s·exp(x − shift)
  void (*sigmoid)(float* y, const float* x, int64_t n);
  void (*adamw)(float* weight, float* m, float* v, const float* gradient, float gradient_scale,
                const AdamwConstants& c, int64_t n);
};

extern const RowOps reference_row_ops;  // ref/row_ops.cc
const RowOps& vector_row_ops();         // cpu/row_ops.cc, for active_isa()

// Those of active_isa().
const RowOps& row_ops();

}  // namespace minke
