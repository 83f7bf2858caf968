#pragma once
// For the tests of this folder: a temporary folder that goes with its test.

#include <unistd.h>

#include <string>
#include <string_view>

#include "base/files.h"

namespace minke {

class TestFolder {
 public:
  explicit TestFolder(const std::string& name)
      : path_(fs::temp_directory_path() / ("minke_" + name + std::to_string(::getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~TestFolder() { fs::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;

  fs::path write(const std::string& name, std::string_view content) const {
    write_file(path_ / name, content);
    return path_ / name;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace minke
