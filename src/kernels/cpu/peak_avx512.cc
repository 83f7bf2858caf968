#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/peak_loops.h"

namespace minke::cpu {
namespace {

constexpr int accumulators = 24;  // more than any unit's latency times its width

void run(int64_t times) {
  __m512 sums[accumulators];
  __m512 factor = _mm512_set1_ps(0.5f);
#pragma GCC unroll 24
  for (int j = 0; j < accumulators; ++j) sums[j] = _mm512_setzero_ps();
  for (int64_t i = 0; i < times; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < accumulators; ++j)
      __asm__ volatile("vfmadd231ps %1, %1, %0" : "+v"(sums[j]) : "v"(factor));
  }
}

}  // namespace

extern const PeakUnit peak_f32_avx512 = {"f32", "avx512", accumulators * 16 * 2, run};

}  // namespace minke::cpu
#endif
