#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/peak_loops.h"

namespace minke::cpu {
namespace {

constexpr int accumulators = 24;

void run(int64_t times) {
  __m512 sums[accumulators];
  __m512i factor = _mm512_set1_epi32(0x3f003f00);
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  __asm__ volatile("" : "+v"(factor));
  for (int64_t i = 0; i < times; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < accumulators; ++j)
      sums[j] = _mm512_dpbf16_ps(sums[j], reinterpret_cast<__m512bh>(factor),
                                 reinterpret_cast<__m512bh>(factor));
  }
  __asm__ volatile("" : "+m"(sums));
}

}  // namespace

extern const PeakUnit peak_bf16_avx512 = {"bf16", "avx512_bf16", accumulators * 32 * 2, run};

}  // namespace minke::cpu
#endif
