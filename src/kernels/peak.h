#pragma once
// Measures what arithmetic and memory can do at most on this machine.

#include "base/peaks.h"

namespace minke {

// Measures with thread_count() threads; takes about three seconds and at most 256 MiB.
Peaks measure_peaks();

// The peaks for thread_count() threads: those kept in the cache folder, or measured now and kept.
const Peaks& measured_peaks();

}  // namespace minke
