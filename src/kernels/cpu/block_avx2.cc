#if defined(__x86_64__)
// Blocks for AVX2 and FMA.
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/rows.h"

namespace minke::cpu {
namespace {

void multiply_f32(const Product& product) {
  static constexpr Tile tiles[6][1] = {
      {multiply_tile<StepF32, 1, 1>}, {multiply_tile<StepF32, 2, 1>},
      {multiply_tile<StepF32, 3, 1>}, {multiply_tile<StepF32, 4, 1>},
      {multiply_tile<StepF32, 5, 1>}, {multiply_tile<StepF32, 6, 1>},
  };
  multiply_tiles(product, tiles);
}

// Of few rows each is widened where it is used. That takes registers too: with more than four rows
// the sums do not fit beside it.
void multiply_bf16(const Product& product) {
  if (product.rows >= 12 && product.panels > 1) return multiply_widened(product, multiply_f32);
  static constexpr Tile tiles[4][1] = {
      {multiply_tile<StepWidened, 1, 1>},
      {multiply_tile<StepWidened, 2, 1>},
      {multiply_tile<StepWidened, 3, 1>},
      {multiply_tile<StepWidened, 4, 1>},
  };
  multiply_tiles(product, tiles);
}

}  // namespace

extern const Kernels avx2_kernels = {
    .bf16_unit = 2,
    .bf16_rows_contiguous = false,
    .bf16_products = false,
    .multiply_f32 = multiply_f32,
    .multiply_bf16 = multiply_bf16,
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
#endif
