#pragma once
// Random numbers as a pure function of (seed, stream, counter), so that any position of any stream
// can be had without drawing the ones before it: resume is exact and threads need no order.

#include <cmath>
#include <cstdint>
#include <string_view>

namespace minke {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection that mixes all 64 bits.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// FNV-1a, to turn a name into a stream number; not for checksums.
constexpr uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return hash;
}

// One stream of random numbers. Copying it copies its position. Not thread-safe.
class Random {
  __extension__ using Wide = unsigned __int128;

 public:
  explicit Random(uint64_t seed, uint64_t stream = 0, uint64_t counter = 0)
      : key_(mix64(mix64(seed) ^ stream)), counter_(counter) {}

  uint64_t next() { return mix64(key_ ^ mix64(counter_++)); }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)
  uint64_t below(uint64_t bound) {                                          // [0, bound), bound > 0
    return static_cast<uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }
  double normal() {  // mean 0, variance 1, Box-Muller; two draws each
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }
  uint64_t counter() const { return counter_; }

 private:
  uint64_t key_;
  uint64_t counter_;
};

}  // namespace minke
