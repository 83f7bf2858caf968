#pragma once
// The scales and minima of blocks of two levels, as words of four. In an anonymous namespace, so
// that no copy is shared between files compiled for different instruction sets.

#include <cstring>

#include "kernels/block_codes.h"

namespace minke {
namespace {

inline uint16_t load16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
inline uint32_t load32(const uint8_t* p) {
  uint32_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

// The f16 that a format's scales and minima are multiples of.
inline uint16_t stored_scale(BlockFormat format, const uint8_t* in) {
  switch (format) {
    case BlockFormat::q2_k:
      return load16(in + 80);
    case BlockFormat::q3_k:
      return load16(in + 108);
    case BlockFormat::q6_k:
      return load16(in + 208);
    default:
      return load16(in);
  }
}
inline uint16_t stored_min(BlockFormat format, const uint8_t* in) {
  return load16(in + (format == BlockFormat::q2_k ? 82 : 2));
}

constexpr uint32_t every_byte = 0x01010101;

// Bytes of six bits minus 32: the highest bit is lent to each byte meanwhile.
inline uint32_t minus_32(uint32_t x) {
  return ((x | 0x80 * every_byte) - 32 * every_byte) ^ 0x80 * every_byte;
}

// Eight scales and minima of six bits: the first four of each in the lower bits of bytes 0 to 3 and
// 4 to 7, the others' lower halves in bytes 8 to 11 and upper bits at the top of the first eight.
inline void read_six_bits(const uint8_t* in, uint32_t* scales, uint32_t* mins) {
  const uint32_t x = load32(in), y = load32(in + 4), z = load32(in + 8);
  scales[0] = x & 63 * every_byte;
  mins[0] = y & 63 * every_byte;
  scales[1] = (z & 15 * every_byte) | (x >> 6 & 3 * every_byte) << 4;
  mins[1] = (z >> 4 & 15 * every_byte) | (y >> 6 & 3 * every_byte) << 4;
}

inline void read_q3_k_scales(const uint8_t* in, uint32_t* scales) {
  const uint32_t high = load32(in + 8);
  for (int i = 0; i < 4; ++i) {
    const uint32_t low = load32(in + i % 2 * 4) >> (i / 2 * 4) & 15 * every_byte;
    scales[i] = minus_32(low | (high >> (2 * i) & 3 * every_byte) << 4);
  }
}

// Four bits of each scale follow 16 bits with two of each.
inline void read_iq4_xs_scales(const uint8_t* in, uint32_t* scales) {
  for (int i = 0; i < 2; ++i) {
    uint32_t low = load16(in + 2 + 2 * i), high = in[i];
    low = (low | low << 8) & 0x00ff00ff;
    low = (low | low << 4) & 15 * every_byte;
    high = (high | high << 12) & 0x000f000f;
    high = (high | high << 6) & 3 * every_byte;
    scales[i] = minus_32(low | high << 4);
  }
}

// The integers that scales and minima are made of, one byte for each of the block's groups.
inline void read_level_codes(BlockFormat format, const uint8_t* in, uint32_t (&scales)[4],
                             uint32_t (&mins)[4]) {
  switch (format) {
    case BlockFormat::q2_k:
      for (int i = 0; i < 4; ++i) {
        const uint32_t both = load32(in + 4 * i);
        scales[i] = both & 15 * every_byte;
        mins[i] = both >> 4 & 15 * every_byte;
      }
      return;
    case BlockFormat::q3_k:
      return read_q3_k_scales(in + 96, scales);
    case BlockFormat::q4_k:
    case BlockFormat::q5_k:
      return read_six_bits(in + 4, scales, mins);
    case BlockFormat::q6_k:
      std::memcpy(scales, in + 192, 16);
      return;
    case BlockFormat::iq4_xs:
      return read_iq4_xs_scales(in + 2, scales);
    default:
      return;
  }
}

}  // namespace
}  // namespace minke
