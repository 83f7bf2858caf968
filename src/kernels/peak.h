#pragma once
// Measures what arithmetic and memory can do at most on this machine.

#include <cstdint>
#include <memory>

#include "base/peaks.h"
#include "tensor/dtype.h"

namespace minke {

class Arena;

// Reads memory that no cache holds, at most 256 MiB, with thread_count() threads. Not thread-safe.
class MemoryReads {
 public:
  MemoryReads();
  ~MemoryReads();
  // Bytes per second of the fastest of several ways to read, once each: some 30 ms.
  double measure();

 private:
  int64_t bytes_;
  std::unique_ptr<Arena> arena_;
  char* data_;
};

// Measures with thread_count() threads, as the best of `rounds`: others may use the machine too,
// and often for longer than one measurement takes. Twenty take about three seconds; at most 256
// MiB.
Peaks measure_peaks(int rounds = 20);

// The peaks for thread_count() threads: those kept in the cache folder, or measured now and kept.
const Peaks& measured_peaks();

// The measured peak of products of f32 or bf16, in FLOP/s, on the active instruction set: that of
// its own instructions for the dtype, or of f32 where it has none (the reference counts as
// portable).
double measured_flops(const Peaks& peaks, DType dtype);

}  // namespace minke
