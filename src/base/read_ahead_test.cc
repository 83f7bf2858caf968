#include "base/read_ahead.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "base/files.h"

namespace minke {
namespace {

// A file of 4 MB that is on the disk and, where the file system can forget, not in memory.
class ReadAheadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(path_) << std::string(size, 'x');
    const int file = ::open(path_.c_str(), O_RDONLY);
    ASSERT_EQ(::fsync(file), 0);
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
    mapped_.emplace(path_);
    if (pages_in_memory() > 0) GTEST_SKIP() << "this file system keeps its files in memory";
  }
  void TearDown() override { fs::remove(path_); }

  int64_t pages_in_memory() const {
    std::vector<unsigned char> pages(size / page + 1);
    EXPECT_EQ(::mincore(const_cast<std::byte*>(mapped_->bytes().data()), size, pages.data()), 0);
    int64_t count = 0;
    for (const unsigned char flags : pages) count += flags & 1;
    return count;
  }

  static constexpr int64_t size = 4 << 20;
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const fs::path path_ =
      fs::temp_directory_path() / ("minke-read-ahead-" + std::to_string(::getpid()));
  std::optional<MappedFile> mapped_;
};

TEST_F(ReadAheadTest, BytesComeWithoutBeingTouched) {
  // Neither end is a page's.
  read_ahead(mapped_->bytes().data() + page + 1, 2 << 20);
  const int64_t wanted = (2 << 20) / page + 1;
  const auto start = std::chrono::steady_clock::now();
  while (pages_in_memory() < wanted &&
         std::chrono::steady_clock::now() - start < std::chrono::seconds(20))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(pages_in_memory(), wanted);
}

TEST_F(ReadAheadTest, ReadingFromTheDiskIsSeenOnce) {
  has_read_from_disk();
  EXPECT_FALSE(has_read_from_disk());
  volatile std::byte first = mapped_->bytes()[0];
  (void)first;
  EXPECT_TRUE(has_read_from_disk());
  EXPECT_FALSE(has_read_from_disk());
  first = mapped_->bytes()[0];
  EXPECT_FALSE(has_read_from_disk());
}

}  // namespace
}  // namespace minke
