#pragma once
// bench/: `minke bench`: this machine's limits, and every part of Minke measured against them. May
// include every floor below; nothing but cli/ includes it.

namespace minke {

// Measures the limits of memory and arithmetic, keeps them for later runs and prints them.
void bench_peak(bool json);

}  // namespace minke
