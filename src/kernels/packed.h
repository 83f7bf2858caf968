#pragma once
// The layout of a packed matrix [rows, inner]: panels of 16 rows, and inside a panel the inner
// dimension outermost, so that 16 columns of the product are one vector.
//   f32:  [rows / 16][inner][16]
//   bf16: [rows / 16][inner / 2][16][2], pairs along the inner dimension side by side, which is
//         what the bf16 instructions of AVX-512 and AMX take
// Rows are padded to 16, the inner dimension of bf16 to 32; the padding is zero.
//
// Integer packings: a panel is a row of chunks of 256 inner elements (the last may have fewer, n
// groups of 32), a chunk is
//   8 bits: codes [n][8][16][4]: group, step, row, and 4 elements side by side, which is what the
//           8-bit dot products take
//   4 bits: codes [n][4][16][4]: the low half of a byte belongs to steps 0 to 3, the high to 4 to 7
//   one level:  scales f16 [n][16], then minima f16 [n][16] if the packing has them
//   two levels: scale f16 [16], min f16 [16], scale codes int8 [256 / group][16], min codes
//   likewise
// padded to 64 bytes.

#include <cstdint>

#include "kernels/matmul.h"

namespace minke {

constexpr int64_t panel_width = 16;

constexpr int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

constexpr int64_t packed_inner(DType dtype, int64_t inner) {
  return dtype == DType::bf16 ? round_up(inner, 32) : inner;
}

// Elements from one panel to the next.
constexpr int64_t panel_elements(const PackedMatrix& b) {
  return packed_inner(b.storage.dtype, b.inner) * panel_width;
}

// Position of element (row, inner) in the storage.
constexpr int64_t packed_index(const PackedMatrix& b, int64_t row, int64_t inner) {
  const int64_t panel = row / panel_width * panel_elements(b), column = row % panel_width;
  if (b.storage.dtype == DType::bf16)
    return panel + inner / 2 * (2 * panel_width) + column * 2 + inner % 2;
  return panel + inner * panel_width + column;
}

// Inner elements that share a scale of the activations, and those of a chunk.
constexpr int64_t integer_group = 32, integer_chunk = 256;

// What tells one integer packing from another; block_codes.h says what the fields mean.
struct IntegerScheme {
  int bits = 8;
  int group = 32;
  bool table = false, two_levels = false, mins = false;
  // Of table formats after the lookup, whose values then count from −128. 0 in packings of 8 bits
  // means codes of at most 31 (Q5_1, Q2_K, Q5_K).
  int zero = 128;
};

constexpr IntegerScheme integer_scheme(Packing packing) {
  switch (packing) {
    case Packing::q4:
      return {.bits = 4, .zero = 8};
    case Packing::q4_min:
      return {.bits = 4, .mins = true, .zero = 0};
    case Packing::q4_table:
      return {.bits = 4, .table = true};
    case Packing::q8_min:
      return {.mins = true, .zero = 0};
    case Packing::k4_min:
      return {.bits = 4, .two_levels = true, .mins = true, .zero = 0};
    case Packing::k4_table:
      return {.bits = 4, .table = true, .two_levels = true};
    case Packing::k8_min:
      return {.two_levels = true, .mins = true, .zero = 0};
    case Packing::k8_16:
      return {.group = 16, .two_levels = true};
    case Packing::k8_16_min:
      return {.group = 16, .two_levels = true, .mins = true, .zero = 0};
    default:
      return {};
  }
}

// Where the parts of a chunk of `groups` groups of 32 begin, in bytes.
struct ChunkLayout {
  int64_t scales, mins, scale_codes, min_codes, bytes;
};

constexpr ChunkLayout chunk_layout(const IntegerScheme& scheme, int64_t groups) {
  ChunkLayout at{};
  at.scales = groups * scheme.bits * 64;
  const int64_t levels = scheme.two_levels ? 1 : groups;  // f16 scales of a row
  at.mins = at.scales + levels * 32;
  at.scale_codes = at.mins + (scheme.mins ? levels * 32 : 0);
  const int64_t codes = scheme.two_levels ? groups * (integer_group / scheme.group) * 16 : 0;
  at.min_codes = at.scale_codes + codes;
  at.bytes = round_up(at.min_codes + (scheme.mins ? codes : 0), 64);
  return at;
}

// Bytes of a panel of an integer packing.
constexpr int64_t panel_bytes(const IntegerScheme& scheme, int64_t inner) {
  const int64_t rest = inner % integer_chunk / integer_group;
  return inner / integer_chunk * chunk_layout(scheme, integer_chunk / integer_group).bytes +
         (rest ? chunk_layout(scheme, rest).bytes : 0);
}

}  // namespace minke
