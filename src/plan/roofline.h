#pragma once
// Seconds that the parts of a layer take on one device, from its published rates and the stated
// efficiencies. What training and serving plans add up.

#include "plan/machine_spec.h"
#include "plan/model_shape.h"

namespace minke {

enum class Precision { bf16, fp8 };  // of the matrix products; attention's core is bf16

// One device at work. units: the share of it that computes while the rest communicates.
struct Device {
  MachineFile machine;
  Precision precision = Precision::bf16;
  double units = 1.0;

  double element_bytes() const { return precision == Precision::fp8 ? 1.0 : 2.0; }
  double peak() const;         // FLOP/s of products in `precision`
  double bf16_peak() const;    // or f32's, where there is no bf16
  double memory_rate() const;  // bytes/s, reached

  // y [rows, out] = x [rows, in]·Wᵀ for `matrices` different W. The larger of arithmetic,
  // FLOPs / (peak·e∞)·(1 + K½/K) with K the inner dimension, and of moving x, y and the weights.
  double product_seconds(double rows, double in, double out, double matrices = 1) const;
};

// Seconds of a layer for `tokens` tokens of one device that computes all of it.
struct LayerSeconds {
  double forward = 0, backward_input = 0, backward_weight = 0;
  double backward() const { return backward_input + backward_weight; }
};

struct TrainingShare {
  double tokens = 0;  // of a micro-batch, one device
  int64_t sequence_length = 0;
  int64_t expert_parallel = 1;  // devices that share a layer's experts
  bool recompute = false;       // as DeepSeek-V3: norms, latent up-projections, SwiGLU
};

// Products, attention and the memory-bound operations between them: each product's input is written
// in the products' precision and its output read; backward, gradients are quantised twice (for the
// input's and the weight's product) and the f32 weight gradients are read and written.
LayerSeconds layer_seconds(const LayerShape& layer, const Device& device,
                           const TrainingShare& share);

// The head in bf16 with its loss.
LayerSeconds head_seconds(const ModelShape& shape, const Device& device, double tokens);

// Bytes that the all-to-all of one token moves for one MoE layer and one of dispatch and combine:
// FP8 rows with one f32 scale per 128 (DeepEP), bf16 rows.
double dispatch_bytes(int64_t hidden, Precision precision);
double combine_bytes(int64_t hidden);

// Seconds of dispatch and combine, one way each, of `tokens` tokens on each device of a group of
// `expert_parallel`. A token crosses to a node once (node-limited routing) and goes on inside it to
// each of its experts; the slower of the two links counts.
double all_to_all_seconds(const ModelShape& shape, const LayerShape& layer, const Device& device,
                          double tokens, int64_t expert_parallel);

}  // namespace minke
