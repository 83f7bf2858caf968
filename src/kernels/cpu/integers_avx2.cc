#if defined(__x86_64__)
// Integer packings by products of 16 bits, on AVX2.
#include "kernels/cpu/integer_product.h"

namespace minke::cpu {
namespace {

template <int parts>
void multiply_unpacked(const UnpackedProduct& product) {
  static constexpr TileOf<UnpackedProduct> tiles[2][1] = {
      {unpacked_tile<parts, 1, 1>},
      {unpacked_tile<parts, 2, 1>},
  };
  multiply_tiles(product, tiles);
}

}  // namespace

extern const IntegerKernels avx2_integers =
    integer_kernels<1>(multiply_unpacked<1>, multiply_unpacked<2>);

}  // namespace minke::cpu
#endif
