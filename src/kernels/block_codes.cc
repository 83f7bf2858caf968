#include "kernels/block_codes.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace minke {
namespace {

uint16_t load16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }

// 32 codes of four bits: the first half in the low nibbles.
void read_nibbles(const uint8_t* in, uint8_t* code) {
  for (int i = 0; i < 16; ++i) {
    code[i] = in[i] & 15;
    code[i + 16] = in[i] >> 4;
  }
}

void add_fifth_bits(const uint8_t* high, uint8_t* code) {
  for (int i = 0; i < 32; ++i)
    code[i] = static_cast<uint8_t>(code[i] | (high[i / 8] >> (i % 8) & 1) << 4);
}

// Eight scales and minima of six bits: the first four of each in the lower bits of bytes 0 to 3 and
// 4 to 7, the others' lower halves in bytes 8 to 11 and upper bits at the top of the first eight.
void read_six_bits(const uint8_t* in, BlockCodes& codes) {
  for (int i = 0; i < 4; ++i) {
    codes.scale_code[i] = static_cast<int8_t>(in[i] & 63);
    codes.min_code[i] = static_cast<int8_t>(in[i + 4] & 63);
    codes.scale_code[i + 4] = static_cast<int8_t>((in[i + 8] & 15) | (in[i] >> 6) << 4);
    codes.min_code[i + 4] = static_cast<int8_t>(in[i + 8] >> 4 | (in[i + 4] >> 6) << 4);
  }
}

void read_q2_k(const uint8_t* in, BlockCodes& codes) {
  for (int i = 0; i < 16; ++i) {
    codes.scale_code[i] = static_cast<int8_t>(in[i] & 15);
    codes.min_code[i] = static_cast<int8_t>(in[i] >> 4);
  }
  for (int i = 0; i < 256; ++i)
    codes.code[i] = in[16 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
  codes.scale = load16(in + 80);
  codes.min = load16(in + 82);
}

// Codes 0 to 7 that stand for −4 to 3: the third bit is set where nothing is subtracted.
void read_q3_k(const uint8_t* in, BlockCodes& codes) {
  for (int i = 0; i < 256; ++i) {
    const int low = in[32 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    codes.code[i] = static_cast<uint8_t>(low | (in[i % 32] >> (i / 32) & 1) << 2);
  }
  const uint8_t* scales = in + 96;
  for (int i = 0; i < 16; ++i) {
    const int low = scales[i % 8] >> (i / 8 * 4) & 15, high = scales[8 + i % 4] >> (i / 4 * 2) & 3;
    codes.scale_code[i] = static_cast<int8_t>((low | high << 4) - 32);
  }
  codes.scale = load16(in + 108);
}

// Q4_K and Q5_K: 64 codes to each 32 bytes.
void read_q4_k(const uint8_t* in, const uint8_t* nibbles, BlockCodes& codes) {
  codes.scale = load16(in);
  codes.min = load16(in + 2);
  read_six_bits(in + 4, codes);
  for (int g = 0; g < 4; ++g)
    for (int i = 0; i < 32; ++i) {
      codes.code[g * 64 + i] = nibbles[g * 32 + i] & 15;
      codes.code[g * 64 + 32 + i] = nibbles[g * 32 + i] >> 4;
    }
}

void read_q5_k(const uint8_t* in, BlockCodes& codes) {
  read_q4_k(in, in + 48, codes);
  for (int g = 0; g < 8; ++g)
    for (int i = 0; i < 32; ++i)
      codes.code[g * 32 + i] =
          static_cast<uint8_t>(codes.code[g * 32 + i] | (in[16 + i] >> g & 1) << 4);
}

void read_q6_k(const uint8_t* in, BlockCodes& codes) {
  for (int half = 0; half < 2; ++half)
    for (int part = 0; part < 4; ++part)
      for (int i = 0; i < 32; ++i) {
        const int low = in[half * 64 + part % 2 * 32 + i] >> (part / 2 * 4) & 15;
        const int high = in[128 + half * 32 + i] >> (part * 2) & 3;
        codes.code[half * 128 + part * 32 + i] = static_cast<uint8_t>(low | high << 4);
      }
  std::memcpy(codes.scale_code.data(), in + 192, 16);
  codes.scale = load16(in + 208);
}

void read_iq4_xs(const uint8_t* in, BlockCodes& codes) {
  codes.scale = load16(in);
  const int high = load16(in + 2);
  for (int g = 0; g < 8; ++g) {
    const int low = in[4 + g / 2] >> (g % 2 * 4) & 15;
    codes.scale_code[g] = static_cast<int8_t>((low | (high >> (2 * g) & 3) << 4) - 32);
    read_nibbles(in + 8 + g * 16, codes.code.data() + g * 32);
  }
}

}  // namespace

BlockScheme block_scheme(BlockFormat format) {
  switch (format) {
    case BlockFormat::q4_0:
      return {.group = 32, .table = false, .two_levels = false, .mins = false, .zero = 8};
    case BlockFormat::q5_0:
      return {.group = 32, .table = false, .two_levels = false, .mins = false, .zero = 16};
    case BlockFormat::q8_0:
      return {.group = 32, .table = false, .two_levels = false, .mins = false, .zero = 128};
    case BlockFormat::q4_1:
    case BlockFormat::q5_1:
      return {.group = 32, .table = false, .two_levels = false, .mins = true, .zero = 0};
    case BlockFormat::q2_k:
      return {.group = 16, .table = false, .two_levels = true, .mins = true, .zero = 0};
    case BlockFormat::q3_k:
      return {.group = 16, .table = false, .two_levels = true, .mins = false, .zero = 4};
    case BlockFormat::q4_k:
    case BlockFormat::q5_k:
      return {.group = 32, .table = false, .two_levels = true, .mins = true, .zero = 0};
    case BlockFormat::q6_k:
      return {.group = 16, .table = false, .two_levels = true, .mins = false, .zero = 32};
    case BlockFormat::iq4_nl:
      return {.group = 32, .table = true, .two_levels = false, .mins = false, .zero = 0};
    case BlockFormat::iq4_xs:
      return {.group = 32, .table = true, .two_levels = true, .mins = false, .zero = 0};
    default:
      fail("{} has no blocks", block_format_name(format));
  }
}

void read_block(BlockFormat format, const std::byte* block, BlockCodes& codes) {
  const uint8_t* in = reinterpret_cast<const uint8_t*>(block);
  uint8_t* code = codes.code.data();
  codes.scale = load16(in);
  switch (format) {
    case BlockFormat::q4_0:
    case BlockFormat::iq4_nl:
      return read_nibbles(in + 2, code);
    case BlockFormat::q4_1:
      codes.min = load16(in + 2) ^ 0x8000;  // stored as what is added
      return read_nibbles(in + 4, code);
    case BlockFormat::q5_0:
      read_nibbles(in + 6, code);
      return add_fifth_bits(in + 2, code);
    case BlockFormat::q5_1:
      codes.min = load16(in + 2) ^ 0x8000;
      read_nibbles(in + 8, code);
      return add_fifth_bits(in + 4, code);
    case BlockFormat::q8_0:
      for (int i = 0; i < 32; ++i) code[i] = in[2 + i] ^ 0x80;
      return;
    case BlockFormat::q2_k:
      return read_q2_k(in, codes);
    case BlockFormat::q3_k:
      return read_q3_k(in, codes);
    case BlockFormat::q4_k:
      return read_q4_k(in, in + 16, codes);
    case BlockFormat::q5_k:
      return read_q5_k(in, codes);
    case BlockFormat::q6_k:
      return read_q6_k(in, codes);
    case BlockFormat::iq4_xs:
      return read_iq4_xs(in, codes);
    default:
      fail("{} has no blocks", block_format_name(format));
  }
}

}  // namespace minke
