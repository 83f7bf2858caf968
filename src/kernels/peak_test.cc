#include "kernels/peak.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "base/threads.h"

namespace minke {
namespace {

TEST(PeakTest, IsKeptAndFound) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("minke-peak-{}", ::getpid());
  fs::remove_all(folder);
  setenv("MINKE_CACHE", folder.c_str(), 1);
  EXPECT_FALSE(load_peaks(3).has_value());
  const Peaks peaks{3, 2e9, 1e10, {{"f32", "avx2", 5e10}, {"bf16", "amx", 1e12}, {"f32", "x", 1}}};
  store_peaks(peaks);
  const auto found = load_peaks(3);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->threads, 3);
  EXPECT_DOUBLE_EQ(found->clock_hz, 2e9);
  EXPECT_DOUBLE_EQ(found->memory_bytes_per_second, 1e10);
  EXPECT_DOUBLE_EQ(found->best("f32"), 5e10);
  EXPECT_DOUBLE_EQ(found->of("bf16", "amx"), 1e12);
  EXPECT_DOUBLE_EQ(found->of("bf16", "avx2"), 0);
  EXPECT_FALSE(load_peaks(4).has_value());
  write_file(peaks_path(3), "clock_hz=2e9\nrubbish\n");
  EXPECT_FALSE(load_peaks(3).has_value());
  unsetenv("MINKE_CACHE");
  fs::remove_all(folder);
}

TEST(PeakTest, FasterInstructionSetsAreFaster) {
  const Peaks peaks = measure_peaks(1);
  EXPECT_EQ(peaks.threads, thread_count());
  EXPECT_GT(peaks.clock_hz, 2e8);
  EXPECT_LT(peaks.clock_hz, 2e10);
  EXPECT_GT(peaks.memory_bytes_per_second, 1e8);
  ASSERT_GT(peaks.of("f32", "portable"), 0);
  EXPECT_GE(peaks.best("f32"), peaks.of("f32", "portable"));
}

}  // namespace
}  // namespace minke
