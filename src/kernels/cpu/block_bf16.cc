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
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const W pair = splat_word(load_word(a + r * a_row));
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
        c[r][p] = _mm512_dpbf16_ps(c[r][p], reinterpret_cast<__m512bh>(pair), column[p]);
    }
  }
};

}  // namespace

void multiply_avx512_bf16(const Product& product) {
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
