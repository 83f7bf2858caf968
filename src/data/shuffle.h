#pragma once
// A permutation of 0 .. size-1 as a pure function, so that a shuffled order needs no memory and any
// position of it can be had at once.

#include <cstdint>

#include "base/random.h"

namespace minke {

// Where `index` goes, 0 <= index < size < 2^62. A Feistel network permutes the smallest power of
// four that is not below size; what falls outside is sent through again until it falls inside.
inline int64_t permuted(int64_t index, int64_t size, uint64_t seed) {
  constexpr int rounds = 6;
  int half_bits = 1;
  while (uint64_t{1} << (2 * half_bits) < static_cast<uint64_t>(size)) ++half_bits;
  const uint64_t mask = (uint64_t{1} << half_bits) - 1;
  auto value = static_cast<uint64_t>(index);
  do {
    uint64_t left = value >> half_bits, right = value & mask;
    for (int round = 0; round < rounds; ++round) {
      const uint64_t mixed =
          left ^ (mix64(mix64(seed + static_cast<uint64_t>(round)) ^ right) & mask);
      left = right;
      right = mixed;
    }
    value = left << half_bits | right;
  } while (value >= static_cast<uint64_t>(size));
  return static_cast<int64_t>(value);
}

}  // namespace minke
