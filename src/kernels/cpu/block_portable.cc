// Blocks for plain C++ over the compiler's own vectors.
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/rows.h"

namespace minke::cpu {
namespace {

template <typename Step>
void multiply(const Product& product) {
  static constexpr Tile tiles[2][1] = {
      {multiply_tile<Step, 1, 1>},
      {multiply_tile<Step, 2, 1>},
  };
  multiply_tiles(product, tiles);
}

}  // namespace

extern const Kernels portable_kernels = {
    .bf16_unit = 2,
    .bf16_rows_contiguous = false,
    .bf16_products = false,
    .multiply_f32 = multiply<StepF32>,
    .multiply_bf16 = multiply<StepWidened>,
    .transpose = transpose,
    .interleave = interleave,
    .round = round,
    .widen = widen,
    .widen_f16 = widen_f16,
    .widen_f8 = widen_f8,
    .dot_f32 = dot<float>,
    .dot_bf16 = dot<uint16_t>,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .scale_rows = scale_rows,
};

}  // namespace minke::cpu
