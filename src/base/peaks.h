#pragma once
// What this machine's arithmetic units and memory can do at most, as it was measured once and kept.

#include <optional>
#include <string>
#include <vector>

namespace minke {

// One dtype on one instruction set, all threads together. An operation is a multiplication or an
// addition.
struct UnitPeak {
  std::string dtype;  // "f32", "bf16" or "int8"
  std::string isa;    // "avx2", "avx512", "avx512_bf16", "avx512_vnni", "amx", "portable"
  double operations_per_second = 0;
};

struct Peaks {
  int threads = 0;
  double clock_hz = 0;                 // of a core while all threads compute
  double memory_bytes_per_second = 0;  // read, all threads together
  std::vector<UnitPeak> units;

  // The fastest unit of a dtype, 0 if there is none.
  double best(const std::string& dtype) const;
  // That of one instruction set, 0 if there is none.
  double of(const std::string& dtype, const std::string& isa) const;
};

// Where the peaks of this CPU with this number of threads are kept.
std::string peaks_path(int threads);

// The peaks kept there; nothing if there are none, or if the file is damaged.
std::optional<Peaks> load_peaks(int threads);

// Keeps them, whole or not at all. Error if the file cannot be written.
void store_peaks(const Peaks& peaks);

}  // namespace minke
