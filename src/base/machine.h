#pragma once
// What this machine has and grants to this process.

#include <cstdint>
#include <string>

namespace minke {

struct Machine {
  int cores;             // granted by affinity mask and cgroup quota, at least 1
  int64_t memory_bytes;  // the smaller of physical memory and the cgroup's limit
  std::string cpu_name;  // as the kernel tells it
};

// Read once, on first use. Thread-safe.
const Machine& machine();

// The folder for what Minke keeps between runs: $MINKE_CACHE, $XDG_CACHE_HOME/minke or
// ~/.cache/minke.
std::string cache_folder();

// Peak resident memory of this process so far, in bytes (VmHWM).
int64_t peak_resident_bytes();

// Resident memory now, in bytes.
int64_t resident_bytes();

// CPU seconds (user and system, all threads) that this process has used.
double cpu_seconds();

// Seconds since an arbitrary start, monotonic.
double now_seconds();

}  // namespace minke
