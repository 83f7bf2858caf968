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

}  // namespace minke
