#include "kernels/peak.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/threads.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/peak_loops.h"
#include "tensor/arena.h"

namespace minke {
namespace {

constexpr double run_seconds = 0.01;  // of one measurement
constexpr int runs = 9;               // of which the best counts: others may use the machine too

std::vector<cpu::PeakUnit> units() {
  std::vector<cpu::PeakUnit> all = {cpu::peak_f32_portable};
#if defined(__x86_64__)
  const cpu::Features& f = cpu::features();
  if (f.avx2) all.insert(all.end(), {cpu::peak_f32_avx2, cpu::peak_int8_avx2});
  if (f.avx512) all.push_back(cpu::peak_f32_avx512);
  if (f.avx512_vnni) all.push_back(cpu::peak_int8_vnni);
  if (f.avx512_bf16) all.push_back(cpu::peak_bf16_avx512);
  if (f.amx) all.insert(all.end(), {cpu::peak_bf16_amx, cpu::peak_int8_amx});
#endif
  return all;
}

double seconds_of(const std::function<void()>& work) {
  const double start = now_seconds();
  work();
  return now_seconds() - start;
}

// CPU time of the calling thread: others may use the machine too, and what they take is not a
// limit.
double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

// Best rate of `work(times)` while every thread does it: times per second of one core.
double best_rate(const std::function<void(int64_t times)>& work) {
  int64_t times = 1024;
  while (seconds_of([&] { work(times); }) < run_seconds) times *= 2;
  std::vector<double> rates(thread_count());
  double best = 0;
  for (int run = 0; run < runs; ++run) {
    parallel_for(thread_count(), [&](int64_t i) {
      const double start = thread_seconds();
      work(times);
      rates[i] = times / (thread_seconds() - start);
    });
    best = std::max(best, std::accumulate(rates.begin(), rates.end(), 0.0) / thread_count());
  }
  return best;
}

double measure_clock() {
  constexpr double cycles = 3;  // of one multiplication
  return cycles * best_rate([](int64_t times) { cpu::multiply_chain(times); });
}

double measure_unit(const cpu::PeakUnit& unit) {
  const int cores = std::min(thread_count(), machine().cores);
  return unit.operations * cores * best_rate(unit.run);
}

// The best of several ways to read memory that no cache holds: each thread its own part in one or
// in four streams, or pieces dealt out in order.
double measure_memory() {
  const int threads = thread_count();
  const int64_t unit = int64_t{1024} * threads;
  const int64_t bytes = std::min(int64_t{256} << 20, machine().memory_bytes / 8) / unit * unit;
  Arena arena(bytes);
  const Tensor block = arena.allocate(DType::f32, {bytes / 4});
  const char* data = reinterpret_cast<const char*>(block.data);
  const int64_t part = bytes / threads;
  parallel_for(threads, [&](int64_t i) { std::memset(block.data + i * part, 1, part); });

  const auto read_parts = [&](int streams) {
    const int64_t stream = part / streams;
    parallel_for(threads,
                 [&](int64_t i) { cpu::read_streams(data + i * part, stream, stream, streams); });
  };
  const int64_t piece = std::max<int64_t>(256, part / 64 / 256 * 256);
  const auto deal_pieces = [&] {
    parallel_for(bytes / piece,
                 [&](int64_t i) { cpu::read_streams(data + i * piece, piece, 0, 1); });
  };
  double best = 0;
  for (int run = 0; run < runs; ++run) {
    best = std::max(best, bytes / seconds_of([&] { read_parts(1); }));
    best = std::max(best, bytes / seconds_of([&] { read_parts(4); }));
    best = std::max(best, bytes / piece * piece / seconds_of(deal_pieces));
  }
  return best;
}

Peaks load_or_measure(int threads) {
  if (const std::optional<Peaks> kept = load_peaks(threads)) return *kept;
  info("measuring what this machine can do at most (once, a few seconds)");
  const Peaks peaks = measure_peaks();
  try {
    store_peaks(peaks);
  } catch (const Error& error) {
    warn("the peaks are measured again next time: {}", error.what());
  }
  return peaks;
}

}  // namespace

Peaks measure_peaks() {
  Peaks peaks;
  peaks.threads = thread_count();
  peaks.clock_hz = measure_clock();
  for (const cpu::PeakUnit& unit : units())
    peaks.units.push_back({unit.dtype, unit.isa, measure_unit(unit)});
  peaks.memory_bytes_per_second = measure_memory();
  return peaks;
}

const Peaks& measured_peaks() {
  static std::mutex mutex;
  static std::map<int, Peaks> by_threads;
  const std::lock_guard lock(mutex);
  const int threads = thread_count();
  const auto found = by_threads.find(threads);
  return found != by_threads.end()
             ? found->second
             : by_threads.emplace(threads, load_or_measure(threads)).first->second;
}

}  // namespace minke
