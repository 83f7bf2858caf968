#pragma once
// What the fuzzers feed bytes to: the readers of files that come from elsewhere. Each reads the
// bytes as a file and looks at everything in it. Nothing but minke::Error may come of it, and that
// is caught here; everything else is a bug.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace minke::fuzz {

struct Target {
  std::string name;  // of its folder in tests/fuzz/corpus, too
  // Whether the bytes were a file that Minke reads.
  bool (*read)(std::span<const uint8_t> bytes);
};

const std::vector<Target>& targets();

}  // namespace minke::fuzz
