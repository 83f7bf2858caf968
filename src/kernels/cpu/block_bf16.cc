#if defined(__x86_64__)
// The bf16 product by AVX-512-BF16's VDPBF16PS.
#include "kernels/cpu/multiply.h"

namespace minke::cpu {
namespace {

struct StepPairs {
  template <int R, int P>
  static void run(V (&c)[R][P], const char* a, int64_t a_row, const char* b, int64_t b_panel) {
    __m512bh column[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) column[p] = reinterpret_cast<__m512bh>(load_words(b + p * b_panel));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const W pair = splat_word(load_word(a + r * a_row));
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
        c[r][p] = _mm512_dpbf16_ps(c[r][p], column[p], reinterpret_cast<__m512bh>(pair));
    }
  }
};

}  // namespace

void multiply_avx512_bf16(const Product& product) {
  if (product.panels == 1 && product.a_step == 4 && !product.rounded) {
    static constexpr Tile columns[12][1] = {
        {multiply_column<StepPairs, 1>},  {multiply_column<StepPairs, 2>},
        {multiply_column<StepPairs, 3>},  {multiply_column<StepPairs, 4>},
        {multiply_column<StepPairs, 5>},  {multiply_column<StepPairs, 6>},
        {multiply_column<StepPairs, 7>},  {multiply_column<StepPairs, 8>},
        {multiply_column<StepPairs, 9>},  {multiply_column<StepPairs, 10>},
        {multiply_column<StepPairs, 11>}, {multiply_column<StepPairs, 12>},
    };
    return multiply_tiles(product, columns);
  }
  static constexpr Tile tiles[6][4] = {
      {multiply_tile<StepPairs, 1, 1>, multiply_tile<StepPairs, 1, 2>,
       multiply_tile<StepPairs, 1, 3>, multiply_tile<StepPairs, 1, 4>},
      {multiply_tile<StepPairs, 2, 1>, multiply_tile<StepPairs, 2, 2>,
       multiply_tile<StepPairs, 2, 3>, multiply_tile<StepPairs, 2, 4>},
      {multiply_tile<StepPairs, 3, 1>, multiply_tile<StepPairs, 3, 2>,
       multiply_tile<StepPairs, 3, 3>, multiply_tile<StepPairs, 3, 4>},
      {multiply_tile<StepPairs, 4, 1>, multiply_tile<StepPairs, 4, 2>,
       multiply_tile<StepPairs, 4, 3>, multiply_tile<StepPairs, 4, 4>},
      {multiply_tile<StepPairs, 5, 1>, multiply_tile<StepPairs, 5, 2>,
       multiply_tile<StepPairs, 5, 3>, multiply_tile<StepPairs, 5, 4>},
      {multiply_tile<StepPairs, 6, 1>, multiply_tile<StepPairs, 6, 2>,
       multiply_tile<StepPairs, 6, 3>, multiply_tile<StepPairs, 6, 4>},
  };
  multiply_tiles(product, tiles);
}

}  // namespace minke::cpu
#endif
