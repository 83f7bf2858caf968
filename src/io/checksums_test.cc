#include "io/checksums.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"

namespace minke {
namespace {

TEST(Checksums, NameTheDamagedFile) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("minke-sums-{}", ::getpid());
  fs::remove_all(folder);
  write_file(folder / "a.txt", "hello");
  write_file(folder / "sub" / "b.txt", "world");
  EXPECT_EQ(find_damaged_file(folder), "checksums.txt");
  const std::string hash = hash_folder(folder);
  write_checksums(folder);
  EXPECT_EQ(hash_folder(folder), hash);
  EXPECT_EQ(find_damaged_file(folder), "");
  EXPECT_EQ(read_file(folder / "checksums.txt").substr(0, 72),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  a.txt\n");
  write_file(folder / "sub" / "b.txt", "w0rld");
  EXPECT_EQ(find_damaged_file(folder), "sub/b.txt");
  fs::remove(folder / "a.txt");
  EXPECT_EQ(find_damaged_file(folder), "a.txt");
  write_file(folder / "checksums.txt", "nonsense\n");
  EXPECT_EQ(find_damaged_file(folder), "checksums.txt");
  write_file(folder / "checksums.txt", "");
  EXPECT_EQ(find_damaged_file(folder), "checksums.txt");
  fs::remove_all(folder);
}

}  // namespace
}  // namespace minke
