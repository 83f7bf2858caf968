#include "post/sandbox_filter.h"

#include <linux/filter.h>

#include "base/error.h"

#if MINKE_SECCOMP
#include <asm/ioctls.h>
#include <sched.h>
#include <seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace minke {
namespace {

// Files, memory, processes, time, and waiting: what interpreters and compilers need.
constexpr const char* allowed[] = {"read",
                                   "write",
                                   "readv",
                                   "writev",
                                   "pread64",
                                   "pwrite64",
                                   "open",
                                   "openat",
                                   "creat",
                                   "close",
                                   "close_range",
                                   "stat",
                                   "fstat",
                                   "lstat",
                                   "newfstatat",
                                   "statx",
                                   "statfs",
                                   "fstatfs",
                                   "lseek",
                                   "poll",
                                   "ppoll",
                                   "select",
                                   "pselect6",
                                   "epoll_create1",
                                   "epoll_ctl",
                                   "epoll_wait",
                                   "epoll_pwait",
                                   "eventfd2",
                                   "mmap",
                                   "mprotect",
                                   "munmap",
                                   "mremap",
                                   "madvise",
                                   "brk",
                                   "mincore",
                                   "rt_sigaction",
                                   "rt_sigprocmask",
                                   "rt_sigreturn",
                                   "rt_sigsuspend",
                                   "sigaltstack",
                                   "access",
                                   "faccessat",
                                   "faccessat2",
                                   "pipe",
                                   "pipe2",
                                   "dup",
                                   "dup2",
                                   "dup3",
                                   "fcntl",
                                   "ftruncate",
                                   "truncate",
                                   "fsync",
                                   "fdatasync",
                                   "flock",
                                   "fadvise64",
                                   "fallocate",
                                   "copy_file_range",
                                   "sendfile",
                                   "getdents",
                                   "getdents64",
                                   "getcwd",
                                   "chdir",
                                   "fchdir",
                                   "rename",
                                   "renameat",
                                   "renameat2",
                                   "mkdir",
                                   "mkdirat",
                                   "rmdir",
                                   "link",
                                   "linkat",
                                   "unlink",
                                   "unlinkat",
                                   "symlink",
                                   "symlinkat",
                                   "readlink",
                                   "readlinkat",
                                   "chmod",
                                   "fchmod",
                                   "fchmodat",
                                   "utimensat",
                                   "umask",
                                   "getpid",
                                   "getppid",
                                   "gettid",
                                   "getuid",
                                   "geteuid",
                                   "getgid",
                                   "getegid",
                                   "getgroups",
                                   "getresuid",
                                   "getresgid",
                                   "getpgrp",
                                   "getpgid",
                                   "getsid",
                                   "setsid",
                                   "setpgid",
                                   "fork",
                                   "vfork",
                                   "execve",
                                   "wait4",
                                   "waitid",
                                   "exit",
                                   "exit_group",
                                   "kill",
                                   "tgkill",
                                   "tkill",
                                   "uname",
                                   "gettimeofday",
                                   "time",
                                   "clock_gettime",
                                   "clock_getres",
                                   "nanosleep",
                                   "clock_nanosleep",
                                   "times",
                                   "getitimer",
                                   "setitimer",
                                   "alarm",
                                   "pause",
                                   "getrusage",
                                   "getrlimit",
                                   "prlimit64",
                                   "sysinfo",
                                   "arch_prctl",
                                   "set_tid_address",
                                   "set_robust_list",
                                   "get_robust_list",
                                   "futex",
                                   "sched_yield",
                                   "sched_getaffinity",
                                   "getrandom",
                                   "rseq",
                                   "membarrier",
                                   "restart_syscall",
                                   "getcpu"};

void check(int status, const char* what) {
  if (status < 0) fail("sandbox: libseccomp refuses {}: error {}", what, -status);
}

}  // namespace

std::vector<sock_filter> sandbox_filter() {
  const std::unique_ptr<void, void (*)(void*)> context(seccomp_init(SCMP_ACT_ERRNO(EPERM)),
                                                       seccomp_release);
  if (!context) fail("sandbox: libseccomp does not know this machine");
  for (const char* name : allowed) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call >= 0) check(seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, call, 0), name);
  }
  check(seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
  constexpr scmp_datum_t namespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS |
                                      CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  check(seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces, 0)),
        "clone");
  constexpr scmp_datum_t requests[] = {TCGETS, TIOCGWINSZ, FIOCLEX, FIONCLEX, FIONREAD};
  for (const scmp_datum_t request : requests)
    check(seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                           SCMP_A1(SCMP_CMP_EQ, request)),
          "ioctl");
  int ends[2];
  if (pipe(ends) != 0) fail("sandbox: no pipe for the filter");
  const int status = seccomp_export_bpf(context.get(), ends[1]);
  close(ends[1]);
  constexpr size_t most_instructions = 4096;
  std::vector<sock_filter> program(most_instructions);
  const ssize_t bytes = read(ends[0], program.data(), program.size() * sizeof(sock_filter));
  close(ends[0]);
  check(status, "to write the filter");
  if (bytes <= 0) fail("sandbox: the filter is empty");
  program.resize(static_cast<size_t>(bytes) / sizeof(sock_filter));
  return program;
}

}  // namespace minke
#else
namespace minke {
std::vector<sock_filter> sandbox_filter() {
  fail(
      "sandbox: Minke was built without libseccomp, so that no code is run; install "
      "libseccomp-dev and build again");
}
}  // namespace minke
#endif
