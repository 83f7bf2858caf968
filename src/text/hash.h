#pragma once
// A fast 64-bit hash of bytes for tables, signatures and shuffles; the same on every machine of the
// same byte order. Not for checksums and not against an adversary.

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/random.h"

namespace minke {

inline uint64_t hash_bytes(std::string_view bytes, uint64_t seed = 0) {
  uint64_t hash = mix64(seed ^ bytes.size());
  while (bytes.size() > 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix64(hash ^ word);
    bytes.remove_prefix(8);
  }
  uint64_t word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  return mix64(hash ^ word);
}

}  // namespace minke
