#pragma once
// The integers inside the blocks of a model file, before they become numbers or a packed matrix.
// Internal to kernels/.

#include <array>
#include <cstdint>

#include "tensor/block_format.h"

namespace minke {

// Element i of a block is s·(value(code[i]) − zero) − m with, for its group g = i / group,
//   one level:  s = scale, m = min
//   two levels: s = scale·scale_code[g], m = min·min_code[g]
// where value() looks up iq4_values in table formats and changes nothing in the others.
struct BlockScheme {
  int group = 32;           // elements that share s and m
  bool table = false;       // codes are indices of iq4_values
  bool two_levels = false;  // blocks of 256
  bool mins = false;
  int zero = 0;
};

// Of block formats only.
constexpr BlockScheme block_scheme(BlockFormat format) {
  switch (format) {
    case BlockFormat::q4_0:
      return {.zero = 8};
    case BlockFormat::q5_0:
      return {.zero = 16};
    case BlockFormat::q8_0:
      return {.zero = 128};
    case BlockFormat::q4_1:
    case BlockFormat::q5_1:
      return {.mins = true};
    case BlockFormat::q2_k:
      return {.group = 16, .two_levels = true, .mins = true};
    case BlockFormat::q3_k:
      return {.group = 16, .two_levels = true, .zero = 4};
    case BlockFormat::q4_k:
    case BlockFormat::q5_k:
      return {.two_levels = true, .mins = true};
    case BlockFormat::q6_k:
      return {.group = 16, .two_levels = true, .zero = 32};
    case BlockFormat::iq4_nl:
      return {.table = true};
    case BlockFormat::iq4_xs:
      return {.table = true, .two_levels = true};
    default:
      return {};
  }
}

struct BlockCodes {
  std::array<uint8_t, 256> code;  // in the block's order
  uint16_t scale, min;            // bits of f16
  std::array<int8_t, 16> scale_code, min_code;
};

// Reads the block at `in`: its codes; scales and minima (what the scheme does not have is left as
// it was); or both.
void read_codes(BlockFormat format, const std::byte* in, uint8_t* code);
void read_levels(BlockFormat format, const std::byte* in, BlockCodes& codes);
inline void read_block(BlockFormat format, const std::byte* in, BlockCodes& codes) {
  read_codes(format, in, codes.code.data());
  read_levels(format, in, codes);
}

// What the indices of IQ4_NL and IQ4_XS stand for.
constexpr std::array<int8_t, 16> iq4_values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace minke
