// What the fuzzers found or started from (tests/fuzz/corpus), and simple damage done to it, read in
// every run of the tests. A crash or a strange exception is what fails here.

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/random.h"
#include "fuzz/targets.h"

namespace minke {
namespace {

const fs::path corpus = fs::path(MINKE_SOURCE_DIR) / "tests" / "fuzz" / "corpus";

bool read(const fuzz::Target& target, const std::string& bytes) {
  return target.read({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

// Some bytes changed, or the file cut.
std::string damage(std::string bytes, Random& random) {
  if (random.below(4) == 0) return bytes.substr(0, random.below(bytes.size() + 1));
  for (uint64_t n = 1 + random.below(4); n > 0 && !bytes.empty(); --n) {
    char& byte = bytes[random.below(bytes.size())];
    const char interesting[] = {'\0', '\xff', '\x7f', '"', '9', static_cast<char>(byte ^ 1)};
    byte = interesting[random.below(sizeof interesting)];
  }
  return bytes;
}

class Fuzz : public testing::TestWithParam<fuzz::Target> {};

TEST_P(Fuzz, SeedsAndDamagedSeeds) {
  Random random(11);
  int readable = 0, seeds = 0;
  for (const auto& entry : fs::directory_iterator(corpus / GetParam().name)) {
    const std::string bytes = read_file(entry.path());
    readable += read(GetParam(), bytes);
    ++seeds;
    for (int round = 0; round < 100; ++round) read(GetParam(), damage(bytes, random));
  }
  EXPECT_GT(seeds, 1);
  EXPECT_GT(readable, 0);
}

INSTANTIATE_TEST_SUITE_P(Readers, Fuzz, testing::ValuesIn(fuzz::targets()),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace minke
