#pragma once
// The product of blocks over the vectors of vector.h, in an anonymous namespace: a tile of R rows
// and P panels of c stays in registers while the inner dimension runs.

#include "kernels/cpu/block.h"
#include "kernels/cpu/vector.h"

namespace minke::cpu {
namespace {

inline float load_float(const char* p) {
  float x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

inline uint32_t load_word(const char* p) {
  uint32_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

// One step of f32 operands.
struct StepF32 {
  template <int R, int P>
  static void run(V (&c)[R][P], const char* a, int64_t a_row, const char* b, int64_t b_panel) {
    V column[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) column[p] = load(reinterpret_cast<const float*>(b + p * b_panel));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const V x = splat(load_float(a + r * a_row));
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) c[r][p] = fma(x, column[p], c[r][p]);
    }
  }
};

// One step of bf16 operands without an instruction for them: the pair's first elements, then its
// second ones, each widened to f32.
struct StepWidened {
  template <int R, int P>
  static void run(V (&c)[R][P], const char* a, int64_t a_row, const char* b, int64_t b_panel) {
    V column[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) column[p] = floats(shift_left(load_words(b + p * b_panel), 16));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const V x = floats(shift_left(splat_word(load_word(a + r * a_row)), 16));
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) c[r][p] = fma(x, column[p], c[r][p]);
    }
    const W upper = splat_word(0xffff0000u);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) column[p] = floats(bit_and(load_words(b + p * b_panel), upper));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const V x = floats(bit_and(splat_word(load_word(a + r * a_row)), upper));
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) c[r][p] = fma(x, column[p], c[r][p]);
    }
  }
};

// Rows from `row` and panels from `panel` of the product.
template <typename Step, int R, int P>
inline void multiply_tile(const Product& t, int64_t row, int64_t panel) {
  const char* a = t.a + row * t.a_row;
  const char* b = t.b + panel * t.b_panel;
  float* c = t.c + row * t.c_row + panel * 16;
  V sums[R][P];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) sums[r][p] = t.load ? load(c + r * t.c_row + p * 16) : splat(0);
  const int64_t a_row = t.a_row, a_step = t.a_step, b_panel = t.b_panel;
  for (int64_t step = t.steps; step > 0; --step, a += a_step, b += 64)
    Step::run(sums, a, a_row, b, b_panel);
  uint16_t* rounded = t.rounded ? t.rounded + row * t.rounded_row + panel * 16 : nullptr;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
      if (rounded)
        store_bf16(rounded + r * t.rounded_row + p * 16, sums[r][p]);
      else
        store(c + r * t.c_row + p * 16, sums[r][p]);
}

// The same for one panel, whose R chains of sums hide the latency of the instruction. Rows of `a`
// may lie far from the cache (keys of a long context), so each step asks for those of the next
// tile.
template <typename Step, int R>
inline void multiply_column(const Product& t, int64_t row, int64_t panel) {
  const char* a = t.a + row * t.a_row;
  const char* b = t.b + panel * t.b_panel;
  float* c = t.c + row * t.c_row + panel * 16;
  V sums[R][1];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) sums[r][0] = t.load ? load(c + r * t.c_row) : splat(0);
  const int64_t a_row = t.a_row, line_steps = 64 / t.a_step;
  for (int64_t step = 0; step < t.steps; step += line_steps) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) __builtin_prefetch(a + (R + r) * a_row, 0, 2);
    const int64_t steps = t.steps - step < line_steps ? t.steps - step : line_steps;
    for (int64_t i = 0; i < steps; ++i, a += t.a_step, b += 64) Step::run(sums, a, a_row, b, 0);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) store(c + r * t.c_row, sums[r][0]);
}

using Tile = void (*)(const Product&, int64_t row, int64_t panel);

// Covers the product with tiles of at most max_rows × max_panels, of as equal a size as can be: a
// thin tile at the end would run at a fraction of the speed. tiles[rows − 1][panels − 1].
template <int max_rows, int max_panels>
inline void multiply_tiles(const Product& t, const Tile (&tiles)[max_rows][max_panels]) {
  const int64_t across = (t.panels + max_panels - 1) / max_panels;
  const int64_t down = (t.rows + max_rows - 1) / max_rows;
  const int64_t least = t.rows / down, larger = t.rows % down;
  for (int64_t i = 0, panel = 0; i < across; ++i) {
    const int64_t panels = (t.panels - panel) / (across - i);
    for (int64_t j = 0, row = 0; j < down; ++j) {
      const int64_t rows = least + (j < larger);
      tiles[rows - 1][panels - 1](t, row, panel);
      row += rows;
    }
    panel += panels;
  }
}

// The f32 of bf16 operands, for sets without an instruction for these: `multiply` of them sums in
// the same order as StepWidened, so the result has the same bits.
inline void widen_panel(float* out, const char* panel, int64_t steps) {
  const W upper = splat_word(0xffff0000u);
  for (int64_t step = 0; step < steps; ++step, out += 32, panel += 64) {
    const W pairs = load_words(panel);
    store(out, floats(shift_left(pairs, 16)));
    store(out + 16, floats(bit_and(pairs, upper)));
  }
}

// Rows that are contiguous stay so. Of others, which lie one word apart, sixteen are read at a
// time.
inline void widen_left(Product& wide, char* out, const Product& t) {
  wide.steps = 2 * t.steps;
  wide.a = out;
  if (t.a_step == 4) {
    wide.a_row = wide.steps * 4 + 64;  // no power of two, lest rows share lines of the cache
    wide.a_step = 4;
    for (int64_t r = 0; r < t.rows; ++r) {
      const uint16_t* row = reinterpret_cast<const uint16_t*>(t.a + r * t.a_row);
      float* to = reinterpret_cast<float*>(out + r * wide.a_row);
      int64_t i = 0;
      for (; i + 16 <= wide.steps; i += 16) store(to + i, load_bf16(row + i));
      for (; i < wide.steps; ++i) {
        const uint32_t bits = static_cast<uint32_t>(row[i]) << 16;
        std::memcpy(to + i, &bits, sizeof bits);
      }
    }
    return;
  }
  const int64_t panels = (t.rows + 15) / 16;
  wide.a_row = 4;
  wide.a_step = panels * 64;
  const W upper = splat_word(0xffff0000u);
  for (int64_t step = 0; step < t.steps; ++step)
    for (int64_t p = 0; p < panels; ++p) {
      const W pairs = load_words(t.a + step * t.a_step + p * 64);
      char* to = out + 2 * step * wide.a_step + p * 64;
      store_words(to, shift_left(pairs, 16));
      store_words(to + wide.a_step, bit_and(pairs, upper));
    }
}

// Widens every operand once instead of in each tile, a panel after the other.
inline void multiply_widened(const Product& t, void (*multiply)(const Product&)) {
  const int64_t rows = (t.rows + 15) / 16 * 16, row_bytes = 2 * t.steps * 4 + 64;
  float* panel = reinterpret_cast<float*>(scratch(widened_slot, (rows + 16) * row_bytes));
  Product wide = t;
  widen_left(wide, reinterpret_cast<char*>(panel) + 16 * row_bytes, t);
  wide.panels = 1;
  wide.b = reinterpret_cast<const char*>(panel);
  for (int64_t p = 0; p < t.panels; ++p) {
    widen_panel(panel, t.b + p * t.b_panel, t.steps);
    if (t.c) wide.c = t.c + p * 16;
    if (t.rounded) wide.rounded = t.rounded + p * 16;
    multiply(wide);
  }
}

}  // namespace
}  // namespace minke::cpu
