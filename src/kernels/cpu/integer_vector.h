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

// What unsigned codes can be: at most 15, at most 31, or any, of which the start takes 128 away.
// The last may be multiplied as signed numbers instead, without the start.
enum class CodeRange { four_bits, five_bits, less_128 };

// sums[r] = start of row r + Σ over the steps and their four codes of code · value, for R rows:
// values a_row bytes and starts start_row elements apart.
template <CodeRange range, int steps, int R>
void dot_steps(W (&sums)[R], const W* codes, const int8_t* a, int64_t a_row, const int32_t* start,
               int64_t start_row);

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
  const __m256i byte = _mm256_set1_epi32(0xff), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i halves =
      _mm256_packus_epi32(_mm256_and_si256(x.low, byte), _mm256_and_si256(x.high, byte));
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(halves, halves), order);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(bytes));
}
inline W look_up(W nibbles, const uint8_t* table) {
  const __m256i both =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(both, nibbles.low), _mm256_shuffle_epi8(both, nibbles.high)};
}
inline W splat_values(const int8_t* a) { return splat_word(word_at(a)); }
// Sums of pairs of 16 bits to words.
inline W widen_sums(W pairs) {
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(pairs.low, ones), _mm256_madd_epi16(pairs.high, ones)};
}

// VPMADDUBSW adds pairs of products to 16 bits and saturates. Small codes leave room there for the
// sum of several steps.
template <int most, int steps, int R>
inline void dot_small(W (&sums)[R], const W* codes, const int8_t* a, int64_t a_row) {
  constexpr int together = 32767 / (2 * most * 127) < steps ? 32767 / (2 * most * 127) : steps;
  static_assert(steps % together == 0);
#pragma GCC unroll 8
  for (int first = 0; first < steps; first += together) {
    W pairs[R];
#pragma GCC unroll 8
    for (int i = first; i < first + together; ++i)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const W x = splat_values(a + r * a_row + 4 * i);
        const W two = {_mm256_maddubs_epi16(codes[i].low, x.low),
                       _mm256_maddubs_epi16(codes[i].high, x.high)};
        pairs[r] = i == first ? two
                              : W{_mm256_add_epi16(pairs[r].low, two.low),
                                  _mm256_add_epi16(pairs[r].high, two.high)};
      }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      sums[r] = first == 0 ? widen_sums(pairs[r]) : add_words(sums[r], widen_sums(pairs[r]));
  }
}

// Signed codes, as |code| · (value with code's sign): a pair of these is at most 2 · 128 · 127,
// which is less than 2^15.
template <int steps, int R>
inline void dot_signed(W (&sums)[R], const W* codes, const int8_t* a, int64_t a_row) {
  const __m256i middle = _mm256_set1_epi8(-128);
#pragma GCC unroll 8
  for (int i = 0; i < steps; ++i) {
    const W code = {_mm256_xor_si256(codes[i].low, middle),
                    _mm256_xor_si256(codes[i].high, middle)};
    const W size = {_mm256_abs_epi8(code.low), _mm256_abs_epi8(code.high)};
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const W x = splat_values(a + r * a_row + 4 * i);
      const W products =
          widen_sums({_mm256_maddubs_epi16(size.low, _mm256_sign_epi8(x.low, code.low)),
                      _mm256_maddubs_epi16(size.high, _mm256_sign_epi8(x.high, code.high))});
      sums[r] = i == 0 ? products : add_words(sums[r], products);
    }
  }
}

template <CodeRange range, int steps, int R>
inline void dot_steps(W (&sums)[R], const W* codes, const int8_t* a, int64_t a_row,
                      const int32_t* start, int64_t start_row) {
  if constexpr (range == CodeRange::less_128) return dot_signed<steps>(sums, codes, a, a_row);
  dot_small<range == CodeRange::four_bits ? 15 : 31, steps>(sums, codes, a, a_row);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
    sums[r] = add_words(sums[r], splat_word(static_cast<uint32_t>(start[r * start_row])));
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

#if defined(__AVX512F__) || !defined(__AVX2__)
template <CodeRange range, int steps, int R>
inline void dot_steps(W (&sums)[R], const W* codes, const int8_t* a, int64_t a_row,
                      const int32_t* start, int64_t start_row) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    sums[r] = splat_word(static_cast<uint32_t>(start[r * start_row]));
#pragma GCC unroll 8
    for (int i = 0; i < steps; ++i) sums[r] = dot4(sums[r], codes[i], a + r * a_row + 4 * i);
  }
}
#endif

// The values of iq4_values as codes around 128.
constexpr uint8_t iq4_codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                   129, 141, 153, 166, 181, 197, 217, 241};

}  // namespace
}  // namespace minke::cpu
