#pragma once
// A fixture that calls the built program as a person would, in a folder of its own.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "base/error.h"
#include "base/files.h"

namespace minke {

struct Outcome {
  int code;
  std::string out, err;
};

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() { fs::create_directories(folder_); }
  ~ProgramTest() override { fs::remove_all(folder_); }

  // Runs a line of shell in the test's folder, in which $minke is the program.
  Outcome shell(const std::string& line) const {
    const fs::path err = folder_ / "stderr";
    const std::string command = fmt::format("cd '{}' && minke='{}' && {{ {}; }} 2>'{}'",
                                            folder_.string(), MINKE_PROGRAM, line, err.string());
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string out;
    std::array<char, 4096> buffer;
    for (size_t count; (count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
      out.append(buffer.data(), count);
    const int status = ::pclose(pipe);
    return {WEXITSTATUS(status), out, read_file(err)};
  }
  Outcome run(const std::string& arguments) const { return shell("$minke " + arguments); }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("minke-program-{}", ::getpid());
};

}  // namespace minke
