#pragma once
// The bf16 product on a unit with eight tile registers of 16 rows × 64 bytes, as AMX has: four
// tiles of c, two of a, two of b. The unit is a parameter, so that a test can put an emulation in
// its place.

#include "kernels/cpu/block.h"
#include "kernels/cpu/vector.h"

namespace minke::cpu {
namespace {

// Tiles of c at (i, j) are 2·i + j, of a 4 + i, of b 6 + j.
template <typename Unit, int R, int P, typename Action>
void each_sum_tile(Action action) {
  action(Unit::template tile<0>(), 0, 0);
  if constexpr (P > 1) action(Unit::template tile<1>(), 0, 1);
  if constexpr (R > 1) action(Unit::template tile<2>(), 1, 0);
  if constexpr (R > 1 && P > 1) action(Unit::template tile<3>(), 1, 1);
}

template <typename Unit, int R, int P>
void sum_tiles(const Product& t, const char* a, const char* b) {
  for (int64_t step = 0; step < t.steps; step += 16, a += 64, b += 16 * 64) {
    Unit::template tile<4>().load(a, t.a_row);
    if constexpr (R > 1) Unit::template tile<5>().load(a + 16 * t.a_row, t.a_row);
    Unit::template tile<6>().load(b, 64);
    Unit::template dot<0, 4, 6>();
    if constexpr (R > 1) Unit::template dot<2, 5, 6>();
    if constexpr (P > 1) {
      Unit::template tile<7>().load(b + t.b_panel, 64);
      Unit::template dot<1, 4, 7>();
      if constexpr (R > 1) Unit::template dot<3, 5, 7>();
    }
  }
}

// R·16 rows from `row` (the last 16 may be fewer: `rows` in all) and P panels from `panel`.
template <typename Unit, int R, int P>
void multiply_tile_group(const Product& t, int64_t row, int64_t rows, int64_t panel) {
  float* c = t.c + row * t.c_row + panel * 16;
  const int64_t c_row_bytes = t.c_row * 4;
  each_sum_tile<Unit, R, P>([&](auto tile, int i, int j) {
    if (t.load)
      tile.load(reinterpret_cast<const char*>(c + 16 * i * t.c_row + 16 * j), c_row_bytes);
    else
      tile.zero();
  });
  sum_tiles<Unit, R, P>(t, t.a + row * t.a_row, t.b + panel * t.b_panel);
  each_sum_tile<Unit, R, P>([&](auto tile, int i, int j) {
    if (!t.rounded) {
      tile.store(reinterpret_cast<char*>(c + 16 * i * t.c_row + 16 * j), c_row_bytes);
      return;
    }
    float sums[16 * 16];
    tile.store(reinterpret_cast<char*>(sums), 64);
    uint16_t* out = t.rounded + (row + 16 * i) * t.rounded_row + (panel + j) * 16;
    for (int64_t r = 0; r < 16 && 16 * i + r < rows; ++r)
      store_bf16(out + r * t.rounded_row, load(sums + 16 * r));
  });
}

// All panels for groups of `rows` rows, from `begin` to `end`.
template <typename Unit, int R>
void multiply_row_groups(const Product& t, int64_t begin, int64_t end, int64_t rows) {
  for (int64_t panel = 0; panel < t.panels; panel += 2)
    for (int64_t row = begin; row < end; row += rows)
      if (panel + 1 < t.panels)
        multiply_tile_group<Unit, R, 2>(t, row, rows, panel);
      else
        multiply_tile_group<Unit, R, 1>(t, row, rows, panel);
}

template <typename Unit>
void multiply_with_tiles(const Product& t) {
  const int64_t whole = t.rows / 32 * 32, rest = t.rows - whole;
  if (whole > 0) {
    Unit::configure(16, 16);
    multiply_row_groups<Unit, 2>(t, 0, whole, 32);
  }
  if (rest > 16) {
    Unit::configure(16, static_cast<int>(rest) - 16);
    multiply_row_groups<Unit, 2>(t, whole, t.rows, rest);
  } else if (rest > 0) {
    Unit::configure(static_cast<int>(rest), 0);
    multiply_row_groups<Unit, 1>(t, whole, t.rows, rest);
  }
  Unit::release();
}

}  // namespace
}  // namespace minke::cpu
