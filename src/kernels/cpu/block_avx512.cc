#if defined(__x86_64__)
// Blocks for AVX-512 (F, BW, DQ, VL).
#include "kernels/cpu/multiply.h"
#include "kernels/cpu/rows.h"

namespace minke::cpu {
namespace {

template <typename Step>
void multiply(const Product& product) {
  static constexpr Tile tiles[6][4] = {
      {multiply_tile<Step, 1, 1>, multiply_tile<Step, 1, 2>, multiply_tile<Step, 1, 3>,
       multiply_tile<Step, 1, 4>},
      {multiply_tile<Step, 2, 1>, multiply_tile<Step, 2, 2>, multiply_tile<Step, 2, 3>,
       multiply_tile<Step, 2, 4>},
      {multiply_tile<Step, 3, 1>, multiply_tile<Step, 3, 2>, multiply_tile<Step, 3, 3>,
       multiply_tile<Step, 3, 4>},
      {multiply_tile<Step, 4, 1>, multiply_tile<Step, 4, 2>, multiply_tile<Step, 4, 3>,
       multiply_tile<Step, 4, 4>},
      {multiply_tile<Step, 5, 1>, multiply_tile<Step, 5, 2>, multiply_tile<Step, 5, 3>,
       multiply_tile<Step, 5, 4>},
      {multiply_tile<Step, 6, 1>, multiply_tile<Step, 6, 2>, multiply_tile<Step, 6, 3>,
       multiply_tile<Step, 6, 4>},
  };
  multiply_tiles(product, tiles);
}

}  // namespace

extern const Kernels avx512_kernels = {
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
#endif
