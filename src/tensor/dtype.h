#pragma once
// tensor/: dtypes, shapes, views and arenas. A view does not own its bytes; an arena does. Nothing
// here computes. May include base/ only.

#include <bit>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace minke {

enum class DType : uint8_t { f32, bf16, i32 };

constexpr int64_t dtype_bytes(DType dtype) { return dtype == DType::bf16 ? 2 : 4; }

constexpr std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
  }
  return "?";
}

// bfloat16: the upper half of a float.
struct BFloat16 {
  uint16_t bits;
};

constexpr float to_float(float x) { return x; }
constexpr float to_float(BFloat16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

// Round to nearest, ties to even; a NaN stays one.
constexpr BFloat16 to_bfloat16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}

// IEEE binary16.
struct Float16 {
  uint16_t bits;
};

constexpr float to_float(Float16 x) {
  const uint32_t sign = uint32_t{x.bits} << 16 & 0x80000000u, magnitude = x.bits & 0x7fffu;
  // Multiplying shifts the exponent's bias from 15 to 127, and is exact for subnormals too.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const uint32_t bits = magnitude >= 0x7c00u ? 0x7f800000u | (magnitude & 0x3ffu) << 13
                                             : std::bit_cast<uint32_t>(scaled);
  return std::bit_cast<float>(sign | bits);
}

// Round to nearest, ties to even; too large becomes infinite, a NaN stays one.
constexpr Float16 to_float16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7fffffffu;
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const auto with_sign = [&](uint32_t value) {
    return Float16{static_cast<uint16_t>(sign | value)};
  };
  if (magnitude > 0x7f800000u) return with_sign(0x7e00u);
  if (magnitude >= 0x477ff000u) return with_sign(0x7c00u);  // from 65520 on
  if (magnitude < 0x38800000u)  // subnormal: adding 0.5 leaves the bits at the end
    return with_sign(std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u);
  return with_sign((magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1)) >> 13);
}

// OCP's 8-bit float with 4 bits of exponent, 3 of mantissa, no infinities and largest value 448.
struct Float8E4M3 {
  uint8_t bits;
};

constexpr float to_float(Float8E4M3 x) {
  const uint32_t sign = uint32_t{x.bits} << 24 & 0x80000000u, magnitude = x.bits & 0x7fu;
  const float scaled = std::bit_cast<float>(magnitude << 20) * 0x1p120f;
  const uint32_t bits = magnitude == 0x7f ? 0x7fc00000u : std::bit_cast<uint32_t>(scaled);
  return std::bit_cast<float>(sign | bits);
}

// Round to nearest, ties to even; too large becomes ±448, a NaN stays one.
constexpr Float8E4M3 to_float8_e4m3(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7fffffffu;
  const uint8_t sign = static_cast<uint8_t>(bits >> 24 & 0x80u);
  const auto with_sign = [&](uint32_t value) {
    return Float8E4M3{static_cast<uint8_t>(sign | value)};
  };
  if (magnitude > 0x7f800000u) return with_sign(0x7fu);
  if (magnitude >= 0x43e00000u) return with_sign(0x7eu);  // from 448 on
  if (magnitude < 0x3c800000u)  // below 2^-6: adding 2^14 leaves multiples of 2^-9 at the end
    return with_sign(std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0x1p14f) -
                     std::bit_cast<uint32_t>(0x1p14f));
  return with_sign((magnitude - 0x3c000000u + 0x7ffffu + (magnitude >> 20 & 1)) >> 20);
}

}  // namespace minke
