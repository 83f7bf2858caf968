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
#include "kernels/isa.h"
#include "tensor/arena.h"

namespace minke {
namespace {

constexpr double run_seconds = 0.008;  // of one measurement

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

// Something to do a number of times on every thread at once, and its best rate.
struct Loop {
  cpu::PeakLoop work;
  int64_t times = 1024;
  double best = 0;  // times per second of one core

  explicit Loop(cpu::PeakLoop loop) : work(loop) {
    while (seconds_of([&] { work(times); }) < run_seconds) times *= 2;
  }

  void run() {
    std::vector<double> rates(thread_count());
    parallel_for(thread_count(), [&](int64_t i) {
      const double start = thread_seconds();
      work(times);
      rates[i] = times / (thread_seconds() - start);
    });
    best = std::max(best, std::accumulate(rates.begin(), rates.end(), 0.0) / thread_count());
  }
};

int64_t memory_read_bytes() {
  const int64_t unit = int64_t{65536} * thread_count();
  return std::max(unit, std::min(int64_t{256} << 20, machine().memory_bytes / 8) / unit * unit);
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

// Pages that nobody wrote to would all be the same page of zeros.
MemoryReads::MemoryReads()
    : bytes_(memory_read_bytes()),
      arena_(std::make_unique<Arena>(bytes_)),
      data_(reinterpret_cast<char*>(arena_->allocate(DType::f32, {bytes_ / 4}).data)) {
  std::memset(data_, 1, static_cast<size_t>(bytes_));
}

MemoryReads::~MemoryReads() = default;

double MemoryReads::measure() {
  const auto parts = [&](int streams) {  // every thread its own part, in one or more streams
    const int64_t part = bytes_ / thread_count(), stream = part / streams;
    parallel_for(thread_count(),
                 [&](int64_t i) { cpu::read_streams(data_ + i * part, stream, stream, streams); });
  };
  const auto deal_pieces = [&] {
    const int64_t piece = bytes_ / thread_count() / 64;
    parallel_for(bytes_ / piece,
                 [&](int64_t i) { cpu::read_streams(data_ + i * piece, piece, 0, 1); });
  };
  const double seconds = std::min(
      {seconds_of([&] { parts(1); }), seconds_of([&] { parts(4); }), seconds_of(deal_pieces)});
  return static_cast<double>(bytes_) / seconds;
}

Peaks measure_peaks(int rounds) {
  constexpr double cycles_of_multiplication = 3;
  const std::vector<cpu::PeakUnit> all = units();
  std::vector<Loop> loops;
  loops.reserve(all.size());
  for (const cpu::PeakUnit& unit : all) loops.emplace_back(unit.run);
  Loop clock([](int64_t times) { cpu::multiply_chain(times); });
  MemoryReads memory;
  double memory_rate = 0;
  for (int round = 0; round < rounds; ++round) {
    for (Loop& loop : loops) loop.run();
    clock.run();
    memory_rate = std::max(memory_rate, memory.measure());
  }

  Peaks peaks;
  peaks.threads = thread_count();
  peaks.clock_hz = cycles_of_multiplication * clock.best;
  peaks.memory_bytes_per_second = memory_rate;
  const int cores = std::min(thread_count(), machine().cores);
  for (size_t i = 0; i < all.size(); ++i)
    peaks.units.push_back({all[i].dtype, all[i].isa, all[i].operations * cores * loops[i].best});
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

double measured_flops(const Peaks& peaks, DType dtype) {
  const Isa isa = active_isa();
  const std::string name(isa_name(isa == Isa::reference ? Isa::portable : isa));
  const double own = peaks.of(std::string(dtype_name(dtype)), name);
  if (own > 0) return own;
  // Sets with an instruction for bf16 compute f32 as avx512 does.
  const double f32 = peaks.of("f32", name);
  return f32 > 0 ? f32 : peaks.of("f32", "avx512");
}

}  // namespace minke
