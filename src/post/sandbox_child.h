#pragma once
// The child's side of the sandbox. Between clone() and execve() in a program with threads only
// system calls are safe: everything that needs memory is prepared before, in the parent.

#include <linux/filter.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace minke {

struct SandboxBind {
  std::string source, target;  // target: relative to the new root
  bool is_folder;
};

struct SandboxLink {
  std::string target, path;  // path: relative to the new root
};

// Everything that the child needs, made by the parent.
struct SandboxPlan {
  std::string root;                // an empty folder that the new root is mounted on
  std::vector<SandboxBind> binds;  // read-only
  std::vector<SandboxLink> links;  // /lib and others, where they are links into /usr
  std::vector<std::pair<std::string, std::string>> files;  // path under the new root, content
  std::string tmpfs_options;                               // of the folder that may be written to
  std::vector<char*> argv, environment;                    // with a null at the end
  std::vector<sock_filter> filter;
  uint64_t memory_bytes = 0, file_bytes = 0, cpu_seconds = 0, processes = 0, open_files = 0;
  bool clear_groups = false;
  int go = -1;                      // read end: a byte says that the ids are mapped
  int report = -1;                  // write end: SandboxReport
  int out = -1, err = -1, in = -1;  // the program's
};

// What the child tells: that the program runs now, a step of the setup that failed, or how the
// program ended.
struct SandboxReport {
  bool started = false;
  int failed_step = 0;  // 0: the setup was done
  int error = 0;        // errno
  int status = 0;       // as waitpid() has it
};
const char* sandbox_step_name(int step);

// Sets everything up, runs the program, reports, and ends this process.
[[noreturn]] void run_sandbox_child(const SandboxPlan& plan);

}  // namespace minke
