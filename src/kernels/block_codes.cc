#include "kernels/block_codes.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/block_levels.h"

namespace minke {
namespace {

// out[i] = f(a[i], b[i]) for 32 bytes, on copies: the compiler then knows that they are apart and
// uses vectors.
template <typename F>
void combine(const uint8_t* a, const uint8_t* b, uint8_t* out, const F& f) {
  std::array<uint8_t, 32> x, y, z;
  std::memcpy(x.data(), a, 32);
  std::memcpy(y.data(), b, 32);
  for (size_t i = 0; i < 32; ++i) z[i] = static_cast<uint8_t>(f(x[i], y[i]));
  std::memcpy(out, z.data(), 32);
}

// 32 codes of four bits: the first half in the low nibbles.
void read_nibbles(const uint8_t* in, uint8_t* code) {
  for (int i = 0; i < 16; ++i) {
    code[i] = in[i] & 15;
    code[i + 16] = in[i] >> 4;
  }
}

// Each bit of `high` becomes the fifth of a code: eight bits at a time are spread over the bytes of
// a word, in which 0x7f is added to carry whatever bit is left into the highest.
void add_fifth_bits(const uint8_t* high, uint8_t* code) {
  constexpr uint64_t every_byte = 0x0101010101010101u, own_bit = 0x8040201008040201u;
  for (int i = 0; i < 4; ++i) {
    const uint64_t bits = (high[i] * every_byte & own_bit) + 0x7f * every_byte;
    uint64_t codes;
    std::memcpy(&codes, code + 8 * i, 8);
    codes |= (bits >> 7 & every_byte) << 4;
    std::memcpy(code + 8 * i, &codes, 8);
  }
}

// Two bits each: the lowest of 32 bytes, then the next ones.
void read_q2_k(const uint8_t* in, uint8_t* code) {
  for (int i = 0; i < 8; ++i)
    combine(in + 16 + i / 4 * 32, in, code + i * 32,
            [shift = i % 4 * 2](int low, int) { return low >> shift & 3; });
}

// Codes 0 to 7 that stand for −4 to 3: the third bit is set where nothing is subtracted.
void read_q3_k(const uint8_t* in, uint8_t* code) {
  for (int i = 0; i < 8; ++i)
    combine(in + 32 + i / 4 * 32, in, code + i * 32, [shift = i % 4 * 2, i](int low, int high) {
      return (low >> shift & 3) | (high >> i & 1) << 2;
    });
}

// 64 codes to each 32 bytes.
void read_q4_k(const uint8_t* in, uint8_t* code) {
  for (int g = 0; g < 4; ++g, in += 32, code += 64) {
    combine(in, in, code, [](int both, int) { return both & 15; });
    combine(in, in, code + 32, [](int both, int) { return both >> 4; });
  }
}

void read_q5_k(const uint8_t* in, uint8_t* code) {
  read_q4_k(in + 48, code);
  for (int g = 0; g < 8; ++g)
    combine(code + g * 32, in + 16, code + g * 32,
            [g](int low, int high) { return low | (high >> g & 1) << 4; });
}

void read_q6_k(const uint8_t* in, uint8_t* code) {
  for (int i = 0; i < 8; ++i) {
    const int half = i / 4, part = i % 4;
    combine(in + half * 64 + part % 2 * 32, in + 128 + half * 32, code + i * 32,
            [low_shift = part / 2 * 4, shift = part * 2](int low, int high) {
              return (low >> low_shift & 15) | (high >> shift & 3) << 4;
            });
  }
}

}  // namespace

void read_codes(BlockFormat format, const std::byte* block, uint8_t* code) {
  const uint8_t* in = reinterpret_cast<const uint8_t*>(block);
  switch (format) {
    case BlockFormat::q4_0:
    case BlockFormat::iq4_nl:
      return read_nibbles(in + 2, code);
    case BlockFormat::q4_1:
      return read_nibbles(in + 4, code);
    case BlockFormat::q5_0:
      read_nibbles(in + 6, code);
      return add_fifth_bits(in + 2, code);
    case BlockFormat::q5_1:
      read_nibbles(in + 8, code);
      return add_fifth_bits(in + 4, code);
    case BlockFormat::q8_0:
      return combine(in + 2, in, code, [](int x, int) { return x ^ 0x80; });
    case BlockFormat::q2_k:
      return read_q2_k(in, code);
    case BlockFormat::q3_k:
      return read_q3_k(in, code);
    case BlockFormat::q4_k:
      return read_q4_k(in + 16, code);
    case BlockFormat::q5_k:
      return read_q5_k(in, code);
    case BlockFormat::q6_k:
      return read_q6_k(in, code);
    case BlockFormat::iq4_xs:
      for (int g = 0; g < 8; ++g) read_nibbles(in + 8 + g * 16, code + g * 32);
      return;
    default:
      fail("{} has no blocks", block_format_name(format));
  }
}

void read_levels(BlockFormat format, const std::byte* block, BlockCodes& codes) {
  const uint8_t* in = reinterpret_cast<const uint8_t*>(block);
  codes.scale = stored_scale(format, in);
  codes.min = stored_min(format, in);
  if (format == BlockFormat::q4_1 || format == BlockFormat::q5_1)
    codes.min ^= 0x8000;  // stored as what is added
  uint32_t scales[4] = {}, mins[4] = {};
  read_level_codes(format, in, scales, mins);
  std::memcpy(codes.scale_code.data(), scales, sizeof scales);
  std::memcpy(codes.min_code.data(), mins, sizeof mins);
}

}  // namespace minke
