#include "bench/timing.h"

#include <algorithm>
#include <cstdint>

#include "base/machine.h"

namespace minke {

double best_seconds(const std::function<void()>& work) {
  constexpr int runs = 15;
  constexpr double run_seconds = 0.01, enough_seconds = 5;
  const double begin = now_seconds();
  int64_t times = 1;
  double best = 0;
  for (int run = 0; run < runs && (run < 3 || now_seconds() - begin < enough_seconds); ++run) {
    const double start = now_seconds();
    for (int64_t i = 0; i < times; ++i) work();
    const double seconds = (now_seconds() - start) / static_cast<double>(times);
    best = run < 2 ? seconds : std::min(best, seconds);  // the first fills caches
    times = std::max<int64_t>(1, static_cast<int64_t>(run_seconds / best));
  }
  return best;
}

}  // namespace minke
