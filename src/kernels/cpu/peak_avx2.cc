#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/peak_loops.h"

namespace minke::cpu {
namespace {

constexpr int accumulators = 12;

void run_f32(int64_t times) {
  __m256 sums[accumulators], factor = _mm256_set1_ps(0.5f);
#pragma GCC unroll 24
  for (int j = 0; j < accumulators; ++j) sums[j] = _mm256_setzero_ps();
  for (int64_t i = 0; i < times; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < accumulators; ++j)
      __asm__ volatile("vfmadd231ps %1, %1, %0" : "+x"(sums[j]) : "x"(factor));
  }
}

// Without VNNI a product of bytes is three instructions.
void run_int8(int64_t times) {
  __m256i sums[accumulators], bytes = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
#pragma GCC unroll 24
  for (int j = 0; j < accumulators; ++j) sums[j] = _mm256_setzero_si256();
  __asm__ volatile("" : "+x"(ones));
  for (int64_t i = 0; i < times; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < accumulators; ++j) {
      __asm__ volatile("" : "+x"(bytes));
      const __m256i pairs = _mm256_maddubs_epi16(bytes, bytes);
      sums[j] = _mm256_add_epi32(sums[j], _mm256_madd_epi16(pairs, ones));
    }
  }
  __asm__ volatile("" : "+m"(sums));
}

}  // namespace

extern const PeakUnit peak_f32_avx2 = {"f32", "avx2", accumulators * 8 * 2, run_f32};
extern const PeakUnit peak_int8_avx2 = {"int8", "avx2", accumulators * 32 * 2, run_int8};

}  // namespace minke::cpu
#endif
