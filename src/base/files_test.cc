#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/folder_lock.h"

namespace minke {
namespace {

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() { fs::create_directories(folder_); }
  ~FilesTest() override { fs::remove_all(folder_); }

  // The names in a folder, which must hold nothing temporary.
  static size_t entries(const fs::path& folder) {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }
  static void fill(const fs::path& path, const std::string& content) {
    AtomicFolder folder(path);
    write_file(folder.path() / "file", content);
    folder.commit();
  }
  static std::string error_of_writing(const fs::path& path) {
    try {
      write_file(path, "text");
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  fs::path folder_ = fs::temp_directory_path() / ("minke-files-" + std::to_string(::getpid()));
};

TEST_F(FilesTest, AFileAppearsWhole) {
  const fs::path path = folder_ / "new" / "file";
  {
    AtomicFile file(path);
    file.write("some");
    EXPECT_FALSE(fs::exists(path));
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "new"));
  write_file(path, "text");
  write_file(path, "more");
  EXPECT_EQ(read_file(path), "more");
}

TEST_F(FilesTest, AFolderAppearsWholeAndReplacesTheOneBefore) {
  for (const std::string content : {"one", "two"}) {
    fill(folder_ / "made", content);
    EXPECT_EQ(read_file(folder_ / "made" / "file"), content);
    EXPECT_EQ(entries(folder_), 1u);
  }
  {
    AtomicFolder folder(folder_ / "made");
    write_file(folder.path() / "file", "three");
  }
  EXPECT_EQ(read_file(folder_ / "made" / "file"), "two");
  EXPECT_EQ(entries(folder_), 1u);
}

TEST_F(FilesTest, AFolderMayBeNamedInManyWays) {
  const std::string path = (folder_ / "made").string();
  for (const std::string& name : {path, path + "/", path + "/../made/."}) {
    fill(name, name);
    EXPECT_EQ(read_file(folder_ / "made" / "file"), name);
    EXPECT_EQ(entries(folder_), 1u);
  }
}

TEST_F(FilesTest, ALinkToAFolderStays) {
  fs::create_directories(folder_ / "there");
  fs::create_directory_symlink(folder_ / "there", folder_ / "link");
  fill(folder_ / "link", "one");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(read_file(folder_ / "there" / "file"), "one");
}

TEST_F(FilesTest, OnlyFilesAreReplaced) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_NE(error_of_writing(pipe).find("pipe: it is a device or a pipe"), std::string::npos);
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_NE(error_of_writing("/dev/null").find("it is a device or a pipe"), std::string::npos);
  EXPECT_NE(error_of_writing(folder_).find("it is a folder"), std::string::npos);
  EXPECT_EQ(entries(folder_), 1u);
}

TEST_F(FilesTest, OneHoldsTheLock) {
  {
    const FolderLock lock(folder_, "the first");
    lock.tell(", at work");
    try {
      const FolderLock second(folder_, "the second");
      ADD_FAILURE() << "two hold it";
    } catch (const std::exception& error) {
      EXPECT_NE(std::string(error.what()).find("in use by the first, process "), std::string::npos);
      EXPECT_NE(std::string(error.what()).find(", at work;"), std::string::npos);
    }
  }
  { const FolderLock again(folder_ / "new", "the third"); }
  EXPECT_FALSE(fs::exists(folder_ / "new")) << "nothing came into it";
  EXPECT_TRUE(fs::exists(folder_ / "lock"));
}

}  // namespace
}  // namespace minke
