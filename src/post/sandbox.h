#pragma once
// Running a program that nobody has read, written by a model, without trusting it.
//
// It runs in namespaces of its own (user, process ids, mounts, network, IPC, host name), without
// privileges, under a seccomp filter that knows the harmless system calls only. It sees /usr and
// the libraries read-only, and one empty folder that it may write to, in memory; no home folder,
// no /etc but the linker's, no /proc, no network. Memory of all its processes together, CPU time,
// time, processes, files and output are limited. When it ends, or a limit is reached, all its
// processes end.
//
// What must hold: where any of this cannot be set up, run() is an Error that says what failed, and
// nothing has run.

#include <string>
#include <utility>
#include <vector>

#include "config/task_config.h"

namespace minke {

struct SandboxFile {
  std::string name;  // in the folder in which the program runs; without '/'
  std::string content;
};

enum class SandboxEnd { exited, signalled, timed_out, out_of_memory, too_much_output };

struct SandboxResult {
  SandboxEnd end = SandboxEnd::exited;
  int code = 0;  // exit code, or the signal's number
  std::string out, err;

  bool succeeded() const { return end == SandboxEnd::exited && code == 0; }
  std::string summary() const;  // "exit code 1", "stopped after 10 s"
};

// Runs argv[0], a path in /usr, with the files in its folder. Thread-safe; needs Linux.
SandboxResult run_in_sandbox(const std::vector<std::string>& argv,
                             const std::vector<SandboxFile>& files, const SandboxConfig& config);

// Runs `code` with `tests` behind it as a program in "python" or "cpp": right if it exits with 0
// and comes to the end of the tests, so that an answer that exits by itself does not pass. In C++
// the tests have main(), whose return is their end. Another language is a usage Error.
struct CodeResult {
  bool passed = false;
  std::string note;  // why not
};
CodeResult run_code(const std::string& code, const std::string& tests, const std::string& language,
                    const SandboxConfig& config);

}  // namespace minke
