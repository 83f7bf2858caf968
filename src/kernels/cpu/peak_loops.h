#pragma once
// Loops that do nothing but keep an arithmetic unit busy, on plain pointers; one file for each
// instruction set. Instructions are written in assembly, so that no compiler adds any to them.

#include <cstdint>

namespace minke::cpu {

// Runs the loop body `times` times; all accumulators are independent of each other.
using PeakLoop = void (*)(int64_t times);

struct PeakUnit {
  const char* dtype;
  const char* isa;
  double operations;  // multiplications and additions of one loop body
  PeakLoop run;
};

extern const PeakUnit peak_f32_portable;
#if defined(__x86_64__)
extern const PeakUnit peak_f32_avx2, peak_int8_avx2;
extern const PeakUnit peak_f32_avx512;
extern const PeakUnit peak_int8_vnni;
extern const PeakUnit peak_bf16_avx512;
extern const PeakUnit peak_bf16_amx, peak_int8_amx;
#endif

// Reads `bytes` (a multiple of 256) from each of `streams` addresses, `stride` apart, in turns.
uint64_t read_streams(const char* data, int64_t bytes, int64_t stride, int streams);

// A chain of `times` multiplications of 64-bit integers, each waiting for the one before: three
// cycles each on every CPU since 2008 that Minke's vector code runs on.
uint64_t multiply_chain(int64_t times);

}  // namespace minke::cpu
