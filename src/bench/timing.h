#pragma once
// Timing of short work on a machine that others may use too.

#include <functional>

namespace minke {

// Wall-clock seconds of one call of `work`, the best of fifteen runs of at least 10 ms each, fewer
// (two at least) where those would take more than five seconds; caches are filled first.
double best_seconds(const std::function<void()>& work);

}  // namespace minke
