#pragma once
// Sixteen lanes of f32 (V) or of 32 bits (W), for the instruction set that the including file is
// compiled for. Everything is in an anonymous namespace, so that no copy is shared between files
// compiled for different sets.

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#else
#include "tensor/dtype.h"
#endif

namespace minke::cpu {
namespace {

#if defined(__AVX512F__)

// Operators and zero-masked forms where they exist: GCC 12 warns of its own headers' others.
typedef uint32_t Words512 __attribute__((vector_size(64)));
using V = __m512;
using W = Words512;
constexpr __mmask16 all = 0xffff;

inline V load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, V x) { _mm512_storeu_ps(p, x); }
inline V splat(float x) { return _mm512_set1_ps(x); }
inline V add(V a, V b) { return a + b; }
inline V sub(V a, V b) { return a - b; }
inline V mul(V a, V b) { return a * b; }
inline V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
inline V max(V a, V b) { return _mm512_maskz_max_ps(all, a, b); }
inline W load_words(const void* p) { return reinterpret_cast<W>(_mm512_loadu_si512(p)); }
inline void store_words(void* p, W x) { _mm512_storeu_si512(p, reinterpret_cast<__m512i>(x)); }
inline W splat_word(uint32_t x) {
  return reinterpret_cast<W>(_mm512_set1_epi32(static_cast<int>(x)));
}
inline W load_halves(const uint16_t* p) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return reinterpret_cast<W>(_mm512_maskz_cvtepu16_epi32(all, halves));
}
inline W load_bytes(const char* p) {
  return reinterpret_cast<W>(
      _mm512_maskz_cvtepu8_epi32(all, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline void store_halves(uint16_t* p, W x) {
  const __m256i halves = _mm512_maskz_cvtepi32_epi16(all, reinterpret_cast<__m512i>(x));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), halves);
}
inline V load_f16(const char* p) {
  return _mm512_maskz_cvtph_ps(all, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline W words(V x) { return reinterpret_cast<W>(x); }
inline V floats(W x) { return reinterpret_cast<V>(x); }
inline W shift_left(W x, int n) { return x << n; }
inline W shift_right(W x, int n) { return x >> n; }
inline W bit_and(W a, W b) { return a & b; }
inline W bit_or(W a, W b) { return a | b; }
inline W add_words(W a, W b) { return a + b; }
// Lanes with a < b take x, the others y. False for NaN.
inline V if_less(V a, V b, V x, V y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
// Lanes in which `tested` is not NaN take x, the others y.
inline V if_number(V tested, V x, V y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(tested, tested, _CMP_ORD_Q), y, x);
}
template <int part>
__m256 half(V x) {
  return _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(0xf, _mm512_castps_pd(x), part));
}
inline float sum(V x) {
  const __m256 eight = half<0>(x) + half<1>(x);
  __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
  four = four + _mm_movehl_ps(four, four);
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float highest(V x) {
  const __m256 eight = _mm256_max_ps(half<0>(x), half<1>(x));
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

// The 128-bit quarters of a and b that `quarters` names, two of each.
template <int quarters>
__m512i pick(__m512i a, __m512i b) {
  return _mm512_maskz_shuffle_i32x4(all, a, b, quarters);
}

// Words (even[i], odd[i]) of 32 halves each: the first 16 to low, the others to high.
inline void interleave32(char* low, char* high, const uint16_t* even, const uint16_t* odd) {
  const __m512i a = _mm512_loadu_si512(even), b = _mm512_loadu_si512(odd);
  // Unpacking works inside quarters, so the quarters change places first.
  const __m512i order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
  const __m512i x = _mm512_maskz_permutexvar_epi64(0xff, order, a);
  const __m512i y = _mm512_maskz_permutexvar_epi64(0xff, order, b);
  _mm512_storeu_si512(low, _mm512_unpacklo_epi16(x, y));
  _mm512_storeu_si512(high, _mm512_unpackhi_epi16(x, y));
}

// out[c][r] = in[r][c] for 16 × 16 words.
inline void transpose16(char* out, int64_t out_row, const char* in, int64_t in_row) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_si512(in + i * in_row);
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_maskz_unpacklo_epi32(all, a[i], a[i + 1]);
    b[i + 1] = _mm512_maskz_unpackhi_epi32(all, a[i], a[i + 1]);
  }
  // Then quarter g of a[4·i + c] holds rows 4i to 4i + 3 of column 4g + c.
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; ++j) {
      a[i + 2 * j] = _mm512_maskz_unpacklo_epi64(0xff, b[i + j], b[i + j + 2]);
      a[i + 2 * j + 1] = _mm512_maskz_unpackhi_epi64(0xff, b[i + j], b[i + j + 2]);
    }
  for (int c = 0; c < 4; ++c) {
    const __m512i even_top = pick<0x88>(a[c], a[c + 4]), odd_top = pick<0xdd>(a[c], a[c + 4]);
    const __m512i even_low = pick<0x88>(a[c + 8], a[c + 12]);
    const __m512i odd_low = pick<0xdd>(a[c + 8], a[c + 12]);
    _mm512_storeu_si512(out + c * out_row, pick<0x88>(even_top, even_low));
    _mm512_storeu_si512(out + (c + 4) * out_row, pick<0x88>(odd_top, odd_low));
    _mm512_storeu_si512(out + (c + 8) * out_row, pick<0xdd>(even_top, even_low));
    _mm512_storeu_si512(out + (c + 12) * out_row, pick<0xdd>(odd_top, odd_low));
  }
}

#elif defined(__AVX2__)

struct V {
  __m256 low, high;
};
struct W {
  __m256i low, high;
};

inline V load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, V x) {
  _mm256_storeu_ps(p, x.low);
  _mm256_storeu_ps(p + 8, x.high);
}
inline V splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline V add(V a, V b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline V sub(V a, V b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
inline V mul(V a, V b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
inline V fma(V a, V b, V c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline V max(V a, V b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
inline W load_words(const void* p) {
  const __m256i* q = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
inline void store_words(void* p, W x) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), x.low);
  _mm256_storeu_si256(static_cast<__m256i*>(p) + 1, x.high);
}
inline W splat_word(uint32_t x) {
  const __m256i half = _mm256_set1_epi32(static_cast<int>(x));
  return {half, half};
}
inline W load_halves(const uint16_t* p) {
  const __m128i* q = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtepu16_epi32(_mm_loadu_si128(q)), _mm256_cvtepu16_epi32(_mm_loadu_si128(q + 1))};
}
inline W load_bytes(const char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
inline void store_halves(uint16_t* p, W x) {  // the upper halves of x are zero
  const __m256i mixed = _mm256_packus_epi32(x.low, x.high);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(mixed, 0xd8));
}
inline V load_f16(const char* p) {
  const __m128i* q = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}
inline W words(V x) { return {_mm256_castps_si256(x.low), _mm256_castps_si256(x.high)}; }
inline V floats(W x) { return {_mm256_castsi256_ps(x.low), _mm256_castsi256_ps(x.high)}; }
inline W shift_left(W x, int n) {
  return {_mm256_slli_epi32(x.low, n), _mm256_slli_epi32(x.high, n)};
}
inline W shift_right(W x, int n) {
  return {_mm256_srli_epi32(x.low, n), _mm256_srli_epi32(x.high, n)};
}
inline W bit_and(W a, W b) {
  return {_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)};
}
inline W bit_or(W a, W b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
inline W add_words(W a, W b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
inline V if_less(V a, V b, V x, V y) {
  return {_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}
inline V if_number(V tested, V x, V y) {
  return {_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(tested.low, tested.low, _CMP_ORD_Q)),
          _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(tested.high, tested.high, _CMP_ORD_Q))};
}
inline float sum(V x) {
  const __m256 eight = _mm256_add_ps(x.low, x.high);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float highest(V x) {
  const __m256 eight = _mm256_max_ps(x.low, x.high);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

inline void transpose8(char* out, int64_t out_row, const char* in, int64_t in_row) {
  __m256 a[8], b[8];
  for (int i = 0; i < 8; ++i)
    a[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(in + i * in_row));
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0x44);
      a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0xee);
    }
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(reinterpret_cast<float*>(out + c * out_row),
                     _mm256_permute2f128_ps(a[c], a[c + 4], 0x20));
    _mm256_storeu_ps(reinterpret_cast<float*>(out + (c + 4) * out_row),
                     _mm256_permute2f128_ps(a[c], a[c + 4], 0x31));
  }
}

inline void transpose16(char* out, int64_t out_row, const char* in, int64_t in_row) {
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j)
      transpose8(out + 8 * j * out_row + 32 * i, out_row, in + 8 * i * in_row + 32 * j, in_row);
}

#else

// Four lanes of the compiler's own vectors: SSE2 on x86-64, NEON on ARM, scalars elsewhere.
typedef float V4 __attribute__((vector_size(16)));
typedef uint32_t W4 __attribute__((vector_size(16)));
struct V {
  V4 a, b, c, d;
};
struct W {
  W4 a, b, c, d;
};

inline V load(const float* p) {
  V x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
inline void store(float* p, V x) { std::memcpy(p, &x, sizeof x); }
inline V splat(float x) {
  const V4 part = {x, x, x, x};
  return {part, part, part, part};
}
inline V add(V x, V y) { return {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d}; }
inline V sub(V x, V y) { return {x.a - y.a, x.b - y.b, x.c - y.c, x.d - y.d}; }
inline V mul(V x, V y) { return {x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d}; }
inline V fma(V x, V y, V z) {  // two roundings
  return {x.a * y.a + z.a, x.b * y.b + z.b, x.c * y.c + z.c, x.d * y.d + z.d};
}
inline V4 max(V4 x, V4 y) { return x > y ? x : y; }
inline V max(V x, V y) { return {max(x.a, y.a), max(x.b, y.b), max(x.c, y.c), max(x.d, y.d)}; }
inline W load_words(const void* p) {
  W x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
inline void store_words(void* p, W x) { std::memcpy(p, &x, sizeof x); }
inline W splat_word(uint32_t x) {
  const W4 part = {x, x, x, x};
  return {part, part, part, part};
}
inline W load_halves(const uint16_t* p) {
  uint32_t lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = p[i];
  return load_words(lanes);
}
inline W load_bytes(const char* p) {
  uint32_t lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = static_cast<uint8_t>(p[i]);
  return load_words(lanes);
}
inline void store_halves(uint16_t* p, W x) {
  uint32_t lanes[16];
  store_words(lanes, x);
  for (int i = 0; i < 16; ++i) p[i] = static_cast<uint16_t>(lanes[i]);
}
inline V load_f16(const char* p) {
  float result[16];
  for (int i = 0; i < 16; ++i) {
    Float16 half;
    std::memcpy(&half, p + 2 * i, 2);
    result[i] = to_float(half);
  }
  return load(result);
}
inline W words(V x) {
  W y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}
inline V floats(W x) {
  V y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}
inline W shift_left(W x, int n) { return {x.a << n, x.b << n, x.c << n, x.d << n}; }
inline W shift_right(W x, int n) { return {x.a >> n, x.b >> n, x.c >> n, x.d >> n}; }
inline W bit_and(W x, W y) { return {x.a & y.a, x.b & y.b, x.c & y.c, x.d & y.d}; }
inline W bit_or(W x, W y) { return {x.a | y.a, x.b | y.b, x.c | y.c, x.d | y.d}; }
inline W add_words(W x, W y) { return {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d}; }
inline V if_less(V a, V b, V x, V y) {
  return {a.a < b.a ? x.a : y.a, a.b < b.b ? x.b : y.b, a.c < b.c ? x.c : y.c,
          a.d < b.d ? x.d : y.d};
}
inline V if_number(V tested, V x, V y) {
  return {tested.a == tested.a ? x.a : y.a, tested.b == tested.b ? x.b : y.b,
          tested.c == tested.c ? x.c : y.c, tested.d == tested.d ? x.d : y.d};
}
inline float sum(V x) {
  const V4 four = (x.a + x.b) + (x.c + x.d);
  return (four[0] + four[1]) + (four[2] + four[3]);
}
inline float highest(V x) {
  const V4 four = max(max(x.a, x.b), max(x.c, x.d));
  const float low = four[0] > four[1] ? four[0] : four[1];
  const float high = four[2] > four[3] ? four[2] : four[3];
  return low > high ? low : high;
}

inline void transpose16(char* out, int64_t out_row, const char* in, int64_t in_row) {
  for (int r = 0; r < 16; ++r)
    for (int c = 0; c < 16; ++c) std::memcpy(out + c * out_row + 4 * r, in + r * in_row + 4 * c, 4);
}

#endif

#if !defined(__AVX512F__)
inline void interleave32(char* low, char* high, const uint16_t* even, const uint16_t* odd) {
  store_words(low, bit_or(shift_left(load_halves(odd), 16), load_halves(even)));
  store_words(high, bit_or(shift_left(load_halves(odd + 16), 16), load_halves(even + 16)));
}
#endif

// The numbers 0 to 15.
inline V lane_numbers() {
  static const float numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(numbers);
}

// The first n lanes of x, `other` in the rest.
inline V first_lanes(V x, int64_t n, float other) {
  return if_less(lane_numbers(), splat(static_cast<float>(n)), x, splat(other));
}

// bf16 as a word's lower half, rounded to nearest even; a NaN stays one.
inline W rounded_halves(V x) {
  const W bits = words(x), one = splat_word(1);
  const W even = bit_and(shift_right(bits, 16), one);
  const W result = shift_right(add_words(add_words(bits, splat_word(0x7fff)), even), 16);
  return words(if_number(x, floats(result), floats(splat_word(0x7fc0))));
}

inline V load_bf16(const uint16_t* p) { return floats(shift_left(load_halves(p), 16)); }
inline void store_bf16(uint16_t* p, V x) { store_halves(p, rounded_halves(x)); }

}  // namespace
}  // namespace minke::cpu
