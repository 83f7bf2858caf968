#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/peak_loops.h"

namespace minke::cpu {
namespace {

constexpr int accumulators = 24;  // more than any unit's latency times its width

void run(int64_t times) {
  __m512i sums[accumulators];
  __m512i factor = _mm512_set1_epi32(0x01010101);
#pragma GCC unroll 24
  for (int j = 0; j < accumulators; ++j) sums[j] = _mm512_setzero_si512();
  for (int64_t i = 0; i < times; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < accumulators; ++j)
      __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(sums[j]) : "v"(factor));
  }
}

}  // namespace

extern const PeakUnit peak_int8_vnni = {"int8", "avx512_vnni", accumulators * 64 * 2, run};

}  // namespace minke::cpu
#endif
