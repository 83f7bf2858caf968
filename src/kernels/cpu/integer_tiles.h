#pragma once
// The tiles that AVX-512's registers hold: 6 rows × 2 panels of sums in f32 and in integers.

#include "kernels/cpu/integer_product.h"

namespace minke::cpu {
namespace {

template <int parts>
void multiply_unpacked(const UnpackedProduct& product) {
  static constexpr TileOf<UnpackedProduct> tiles[6][2] = {
      {unpacked_tile<parts, 1, 1>, unpacked_tile<parts, 1, 2>},
      {unpacked_tile<parts, 2, 1>, unpacked_tile<parts, 2, 2>},
      {unpacked_tile<parts, 3, 1>, unpacked_tile<parts, 3, 2>},
      {unpacked_tile<parts, 4, 1>, unpacked_tile<parts, 4, 2>},
      {unpacked_tile<parts, 5, 1>, unpacked_tile<parts, 5, 2>},
      {unpacked_tile<parts, 6, 1>, unpacked_tile<parts, 6, 2>},
  };
  multiply_tiles(product, tiles);
}

}  // namespace
}  // namespace minke::cpu
