#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/peak_loops.h"

namespace minke::cpu {
namespace {

constexpr int accumulators = 24;

void run(int64_t times) {
  __m512i sums[accumulators];
  __m512i factor = _mm512_set1_epi32(0x01010101);
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  __asm__ volatile("" : "+v"(factor));
  for (int64_t i = 0; i < times; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < accumulators; ++j) sums[j] = _mm512_dpbusd_epi32(sums[j], factor, factor);
  }
  __asm__ volatile("" : "+m"(sums));
}

}  // namespace

extern const PeakUnit peak_int8_vnni = {"int8", "avx512_vnni", accumulators * 64 * 2, run};

}  // namespace minke::cpu
#endif
