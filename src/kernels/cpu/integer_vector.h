#pragma once
// Vectors of bytes for the integer packings, over vector.h: W is 16 rows × 4 codes. In an anonymous
// namespace for the reason given there.

#include "kernels/block_codes.h"
#include "kernels/cpu/vector.h"

namespace minke::cpu {
namespace {

inline uint32_t word_at(const void* p) {
  uint32_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

#if defined(__AVX512F__)

inline __m512i ints(W x) { return reinterpret_cast<__m512i>(x); }
inline W words(__m512i x) { return reinterpret_cast<W>(x); }

inline V numbers(W x) { return _mm512_maskz_cvtepi32_ps(all, ints(x)); }
inline V load_int8(const char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return numbers(words(_mm512_maskz_cvtepi8_epi32(all, bytes)));
}
inline void store_int8(int8_t* p, W x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(all, ints(x)));
}
inline W look_up(W nibbles, const uint8_t* table) {
  const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return words(_mm512_shuffle_epi8(_mm512_maskz_broadcast_i32x4(all, sixteen), ints(nibbles)));
}

#if defined(__AVX512VNNI__)

// sum + the four products of each word's unsigned codes and the four signed values at `a`.
inline W dot4(W sum, W codes, const int8_t* a) {
  return words(_mm512_dpbusd_epi32(ints(sum), ints(codes), ints(splat_word(word_at(a)))));
}

#else

inline W dot4(W sum, W codes, const int8_t* a) {
  const __m512i low = _mm512_set1_epi32(0x00ff00ff), x = ints(splat_word(word_at(a)));
  const __m512i even = _mm512_and_si512(ints(codes), low);
  const __m512i odd = _mm512_srli_epi16(ints(codes), 8);
  const __m512i x_even = _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8);
  const __m512i x_odd = _mm512_srai_epi16(x, 8);
  return add_words(
      sum, add_words(words(_mm512_madd_epi16(even, x_even)), words(_mm512_madd_epi16(odd, x_odd))));
}

#endif

#elif defined(__AVX2__)

inline V numbers(W x) { return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)}; }
inline V load_int8(const char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return numbers({_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))});
}
inline void store_int8(int8_t* p, W x) {
  uint32_t lanes[16];
  store_words(lanes, x);
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(lanes[i]);
}
inline W look_up(W nibbles, const uint8_t* table) {
  const __m256i both =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(both, nibbles.low), _mm256_shuffle_epi8(both, nibbles.high)};
}
inline __m256i dot4(__m256i sum, __m256i codes, __m256i x_even, __m256i x_odd) {
  const __m256i even = _mm256_and_si256(codes, _mm256_set1_epi32(0x00ff00ff));
  const __m256i odd = _mm256_srli_epi16(codes, 8);
  return _mm256_add_epi32(
      sum, _mm256_add_epi32(_mm256_madd_epi16(even, x_even), _mm256_madd_epi16(odd, x_odd)));
}
inline W dot4(W sum, W codes, const int8_t* a) {
  const __m256i x = _mm256_set1_epi32(static_cast<int>(word_at(a)));
  const __m256i x_even = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8);
  const __m256i x_odd = _mm256_srai_epi16(x, 8);
  return {dot4(sum.low, codes.low, x_even, x_odd), dot4(sum.high, codes.high, x_even, x_odd)};
}

#else

inline V numbers(W x) {
  int32_t lanes[16];
  float result[16];
  store_words(lanes, x);
  for (int i = 0; i < 16; ++i) result[i] = static_cast<float>(lanes[i]);
  return load(result);
}
inline V load_int8(const char* p) {
  float result[16];
  for (int i = 0; i < 16; ++i) result[i] = static_cast<float>(static_cast<int8_t>(p[i]));
  return load(result);
}
inline void store_int8(int8_t* p, W x) {
  uint32_t lanes[16];
  store_words(lanes, x);
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(lanes[i]);
}
inline W look_up(W nibbles, const uint8_t* table) {
  uint8_t bytes[64];
  store_words(bytes, nibbles);
  for (uint8_t& byte : bytes) byte = table[byte];
  return load_words(bytes);
}
inline W dot4(W sum, W codes, const int8_t* a) {
  uint8_t bytes[64];
  int32_t sums[16];
  store_words(bytes, codes);
  store_words(sums, sum);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 4; ++j) sums[i] += bytes[4 * i + j] * a[j];
  return load_words(sums);
}

#endif

// The values of iq4_values as codes around 128.
constexpr uint8_t iq4_codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                   129, 141, 153, 166, 181, 197, 217, 241};

}  // namespace
}  // namespace minke::cpu
