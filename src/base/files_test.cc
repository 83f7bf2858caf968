#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace minke {
namespace {

class Files : public testing::Test {
 protected:
  Files() { fs::create_directories(folder_); }
  ~Files() override { fs::remove_all(folder_); }

  std::string error_of_writing(const fs::path& path) const {
    try {
      write_file(path, "text");
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("minke-files-{}", ::getpid());
};

TEST_F(Files, AppearWhole) {
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

// What is no file stays what it is.
TEST_F(Files, TakeTheirOwnPlaceOnly) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_NE(error_of_writing(pipe).find("pipe: it is a device or a pipe"), std::string::npos);
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_NE(error_of_writing(folder_).find("it is a folder"), std::string::npos);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(Files, FoldersAreReplacedWhole) {
  const std::string path = (folder_ / "new").string();
  for (const std::string& name : {path, path + "/", path + "/../new/."}) {
    AtomicFolder folder(name);
    write_file(folder.path() / "file", name);
    folder.commit();
    EXPECT_EQ(read_file(folder_ / "new" / "file"), name);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(path), fs::directory_iterator()), 1);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace minke
