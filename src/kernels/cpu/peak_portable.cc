#include <cstring>

#include "kernels/cpu/peak_loops.h"

namespace minke::cpu {
namespace {

typedef float Floats __attribute__((vector_size(16)));
typedef uint64_t Words __attribute__((vector_size(16)));

constexpr int accumulators = 12;

void run_f32(int64_t times) {
  Floats sums[accumulators] = {}, factor = {0.5f, 0.5f, 0.5f, 0.5f};
  __asm__ volatile("" : "+m"(factor));
  for (int64_t i = 0; i < times; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < accumulators; ++j) sums[j] = sums[j] * factor + factor;
  }
  __asm__ volatile("" : "+m"(sums));
}

Words load_words(const char* p) {
  Words x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

}  // namespace

extern const PeakUnit peak_f32_portable = {"f32", "portable", accumulators * 4 * 2, run_f32};

uint64_t read_streams(const char* data, int64_t bytes, int64_t stride, int streams) {
  Words sums[4] = {};
  for (int64_t i = 0; i < bytes; i += 256)
    for (int s = 0; s < streams; ++s) {
      const char* p = data + s * stride + i;
      for (int j = 0; j < 256; j += 64)
        for (int k = 0; k < 4; ++k) sums[k] += load_words(p + j + 16 * k);
    }
  const Words sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return sum[0] + sum[1];
}

uint64_t multiply_chain(int64_t times) {
  uint64_t x = 3;
  for (int64_t i = 0; i < times; i += 16) {
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) {
      x *= x;
      __asm__ volatile("" : "+r"(x));
    }
  }
  return x;
}

}  // namespace minke::cpu
