#pragma once
// The products of integers.h over vectors, in an anonymous namespace. Sums of integers stay in
// registers for a group, sums of f32 for all groups.

#include "kernels/cpu/integer_vector.h"
#include "kernels/cpu/integers.h"

namespace minke::cpu {
namespace {

constexpr int chunk_groups = integer_chunk / integer_group;

// The rows from `row` on.
inline RoundedRows rows_from(RoundedRows a, int64_t row) {
  a.value += row * a.inner;
  a.scale += row * a.groups;
  a.start += row * a.parts;
  a.sum += row * a.parts;
  return a;
}

// What the compiler has to know about a packing.
template <Packing packing>
struct Scheme {
  static constexpr IntegerScheme of = integer_scheme(packing);
  static constexpr int parts = integer_group / of.group, steps = 8 / parts;
  static constexpr int64_t code_bytes = of.bits * 64;  // of a group
  static constexpr CodeRange range = of.bits == 4 && !of.table ? CodeRange::four_bits
                                     : of.zero == 0            ? CodeRange::five_bits
                                                               : CodeRange::less_128;
  // Of a chunk with so many groups.
  static constexpr ChunkLayout layouts[chunk_groups + 1] = {
      chunk_layout(of, 0), chunk_layout(of, 1), chunk_layout(of, 2),
      chunk_layout(of, 3), chunk_layout(of, 4), chunk_layout(of, 5),
      chunk_layout(of, 6), chunk_layout(of, 7), chunk_layout(of, 8)};
};

// The codes of a group as 8 steps of unsigned bytes.
template <Packing packing>
inline void load_codes(const char* in, W (&code)[8]) {
  using S = Scheme<packing>;
  if constexpr (S::of.bits == 8) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) code[i] = load_words(in + 64 * i);
  } else {
    const W low = splat_word(0x0f0f0f0f);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const W both = load_words(in + 64 * i);
      code[i] = bit_and(both, low);
      code[i + 4] = bit_and(shift_right(both, 4), low);
      if constexpr (S::of.table) {
        code[i] = look_up(code[i], iq4_codes);
        code[i + 4] = look_up(code[i + 4], iq4_codes);
      }
    }
  }
}

// The scales and minima of a chunk.
template <Packing packing>
struct Levels {
  using S = Scheme<packing>;

  Levels(const char* chunk_begin, int64_t groups)
      : chunk(chunk_begin), at(S::layouts[groups]), scale_unit(splat(0)), min_unit(splat(0)) {
    if constexpr (S::of.two_levels) scale_unit = load_f16(chunk + at.scales);
    if constexpr (S::of.two_levels && S::of.mins) min_unit = load_f16(chunk + at.mins);
  }
  V scale(int64_t part) const {
    if constexpr (S::of.two_levels)
      return mul(scale_unit, load_int8(chunk + at.scale_codes + part * 16));
    else
      return load_f16(chunk + at.scales + part * 32);
  }
  V min(int64_t part) const {
    if constexpr (S::of.two_levels)
      return mul(min_unit, load_int8(chunk + at.min_codes + part * 16));
    else
      return load_f16(chunk + at.mins + part * 32);
  }

  const char* chunk;
  const ChunkLayout& at;
  V scale_unit, min_unit;
};

// y + scale·(s·Σ products).
inline V add_part(V y, V scale, const float* s, W products) {
  return add(y, mul(scale, mul(splat(*s), numbers(products))));
}

// Asks for the memory that comes some thousand bytes after group g of a chunk. Codes, scales and
// minima are several streams to the hardware's own prefetching, which loses them.
template <int64_t group_bytes>
inline void prefetch_group(const char* chunk, int64_t g) {
  constexpr int64_t distance = 8192;
#pragma GCC unroll 10
  for (int64_t i = 0; i < group_bytes; i += 64)
    __builtin_prefetch(chunk + g * group_bytes + distance + i);
}

// One panel with R rows from `row` on.
template <Packing packing, int R>
inline void multiply_packed_rows(const PackedProduct& t, int64_t panel, int64_t row) {
  using S = Scheme<packing>;
  float* c = t.c + row * t.c_row + panel * 16;
  V y[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) y[r] = t.load ? load(c + r * t.c_row) : splat(0);
  const char* chunk = t.b + panel * t.b_panel;
  RoundedRows a = rows_from(t.a, row);
  for (int64_t left = t.groups; left > 0; left -= chunk_groups) {
    const int64_t groups = left < chunk_groups ? left : chunk_groups;
    const Levels<packing> levels(chunk, groups);
    for (int64_t g = 0; g < groups; ++g) {
      prefetch_group<S::layouts[chunk_groups].bytes / chunk_groups>(chunk, g);
      W code[8];
      load_codes<packing>(chunk + g * S::code_bytes, code);
#pragma GCC unroll 2
      for (int part = 0; part < S::parts; ++part) {
        const V scale = levels.scale(g * S::parts + part);
        W products[R];
        dot_steps<S::range, S::steps>(products, code + part * S::steps,
                                      a.value + 4 * part * S::steps, a.inner, a.start + part,
                                      a.parts);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          y[r] = add_part(y[r], scale, a.scale + r * a.groups, products[r]);
          if constexpr (S::of.mins)
            y[r] =
                sub(y[r], mul(levels.min(g * S::parts + part), splat(a.sum[r * a.parts + part])));
        }
      }
      a.value += integer_group;
      a.scale += 1;
      a.start += S::parts;
      a.sum += S::parts;
    }
    chunk += levels.at.bytes;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) store(c + r * t.c_row, y[r]);
}

// The rows of a panel from `row` on, R at a time and the rest by fewer.
template <Packing packing, int R>
inline void multiply_panel(const PackedProduct& t, int64_t panel, int64_t row) {
  for (; row + R <= t.rows; row += R) multiply_packed_rows<packing, R>(t, panel, row);
  if constexpr (R > 1)
    if (row < t.rows) multiply_panel<packing, R / 2>(t, panel, row);
}

template <Packing packing, int R>
void multiply_packed(const PackedProduct& t) {
  for (int64_t panel = 0; panel < t.panels; ++panel) multiply_panel<packing, R>(t, panel, 0);
}

// Sixteen elements of a row as f32.
inline V load_elements(const char* in, DType dtype, int64_t i) {
  return dtype == DType::bf16 ? load_bf16(reinterpret_cast<const uint16_t*>(in) + i)
                              : load(reinterpret_cast<const float*>(in) + i);
}

inline void round_row(const RoundedRows& out, const char* in, DType dtype, int zero) {
  // Adding this leaves an integer, rounded to nearest even, in the lowest bits.
  const V magic = splat(12582912.0f);
  const bool halves = out.parts != out.groups;
  for (int64_t g = 0; g < out.groups; ++g) {
    const V x0 = load_elements(in, dtype, g * 32), x1 = load_elements(in, dtype, g * 32 + 16);
    const V magnitudes = max(max(x0, sub(splat(0), x0)), max(x1, sub(splat(0), x1)));
    const float largest = highest(magnitudes);
    const bool finite = sum(add(mul(x0, splat(0)), mul(x1, splat(0)))) == 0;
    const bool counts = finite && largest >= 0x1p-100f;
    const V per_unit = splat(counts ? 127.0f / largest : 0.0f);
    V t0 = magic, t1 = magic;
    if (counts) {
      t0 = add(mul(x0, per_unit), magic);
      t1 = add(mul(x1, per_unit), magic);
    }
    store_int8(out.value + g * 32, words(t0));
    store_int8(out.value + g * 32 + 16, words(t1));
    const float sum0 = sum(sub(t0, magic)), sum1 = sum(sub(t1, magic));
    const float scale = counts ? largest / 127.0f : finite ? 0.0f : __builtin_nanf("");
    out.scale[g] = scale;
    const float sums[2] = {halves ? sum0 : sum0 + sum1, sum1};
    for (int part = 0; part < (halves ? 2 : 1); ++part) {
      const int64_t at = halves ? 2 * g + part : g;
      out.start[at] = -zero * static_cast<int32_t>(sums[part]);
      out.sum[at] = scale * sums[part];
    }
  }
}

// R rows at a time.
template <int R>
constexpr IntegerKernels integer_kernels() {
  return {
      .round_row = round_row,
      .multiply = {multiply_packed<Packing::q4, R>, multiply_packed<Packing::q4_min, R>,
                   multiply_packed<Packing::q4_table, R>, multiply_packed<Packing::q8, R>,
                   multiply_packed<Packing::q8_min, R>, multiply_packed<Packing::k4_min, R>,
                   multiply_packed<Packing::k4_table, R>, multiply_packed<Packing::k8_min, R>,
                   multiply_packed<Packing::k8_16, R>, multiply_packed<Packing::k8_16_min, R>},
  };
}

}  // namespace
}  // namespace minke::cpu
