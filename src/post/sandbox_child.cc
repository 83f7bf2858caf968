#include "post/sandbox_child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace minke {
namespace {

constexpr std::array<const char*, 15> steps = {"",
                                               "waiting for the user mapping",
                                               "making mounts private",
                                               "mounting the new root",
                                               "binding the system's folders",
                                               "linking the library folders",
                                               "mounting the work folder",
                                               "writing the program's files",
                                               "changing the root",
                                               "changing the user",
                                               "starting the program's process",
                                               "dropping privileges and setting limits",
                                               "loading the system call filter",
                                               "executing the program",
                                               "closing files that are not the program's"};

[[noreturn]] void give_up(const SandboxPlan& plan, int step) {
  SandboxReport report;
  report.failed_step = step;
  report.error = errno;
  const ssize_t written = write(plan.report, &report, sizeof report);
  _exit(written == sizeof report ? 1 : 2);
}

// The flags of a mount that may not be taken away when it is mounted again.
unsigned long kept_flags(const char* path) {
  struct statvfs info {};
  if (statvfs(path, &info) != 0) return 0;
  unsigned long flags = 0;
  if (info.f_flag & ST_NODEV) flags |= MS_NODEV;
  if (info.f_flag & ST_NOEXEC) flags |= MS_NOEXEC;
  if (info.f_flag & ST_NOATIME) flags |= MS_NOATIME;
  if (info.f_flag & ST_NODIRATIME) flags |= MS_NODIRATIME;
  if (info.f_flag & ST_RELATIME) flags |= MS_RELATIME;
  return flags;
}

// Makes the folders above a relative path, and the last part as a folder too if asked for.
bool make_folders(const char* path, bool whole) {
  char part[512];
  const size_t length = strlen(path);
  if (length >= sizeof part) return false;
  for (size_t i = 1; i <= length; ++i) {
    if (path[i] != '/' && !(i == length && whole)) continue;
    memcpy(part, path, i);
    part[i] = '\0';
    if (mkdir(part, 0755) != 0 && errno != EEXIST) return false;
  }
  return true;
}

bool bind_read_only(const SandboxBind& bind) {
  const char* target = bind.target.c_str();
  if (!make_folders(target, bind.is_folder)) return false;
  if (!bind.is_folder) {
    const int file = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (file < 0) return false;
    close(file);
  }
  if (mount(bind.source.c_str(), target, nullptr, MS_BIND, nullptr) != 0) return false;
  const bool is_device = bind.source.starts_with("/dev/");
  const unsigned long flags =
      MS_REMOUNT | MS_BIND | MS_NOSUID | kept_flags(target) | (is_device ? 0 : MS_RDONLY);
  return mount(nullptr, target, nullptr, flags, nullptr) == 0;
}

bool write_content(const char* path, const std::string& content) {
  const int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  if (file < 0) return false;
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t bytes = write(file, content.data() + done, content.size() - done);
    if (bytes <= 0) break;
    done += static_cast<size_t>(bytes);
  }
  return close(file) == 0 && done == content.size();
}

// A tree in memory that holds the system's folders read-only, and nothing else of this machine.
void build_root(const SandboxPlan& plan) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) give_up(plan, 2);
  if (mount("tmpfs", plan.root.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755") != 0 ||
      chdir(plan.root.c_str()) != 0)
    give_up(plan, 3);
  for (const SandboxBind& bind : plan.binds)
    if (!bind_read_only(bind)) give_up(plan, 4);
  for (const SandboxLink& link : plan.links)
    if (!make_folders(link.path.c_str(), false) ||
        symlink(link.target.c_str(), link.path.c_str()) != 0)
      give_up(plan, 5);
  if (mkdir("work", 0755) != 0 || mkdir("old", 0755) != 0 || symlink("work", "tmp") != 0 ||
      mount("tmpfs", "work", "tmpfs", MS_NOSUID | MS_NODEV, plan.tmpfs_options.c_str()) != 0)
    give_up(plan, 6);
  for (const auto& [path, content] : plan.files)
    if (!write_content(path.c_str(), content)) give_up(plan, 7);
  if (syscall(SYS_pivot_root, ".", "old") != 0 || chdir("/") != 0 ||
      umount2("/old", MNT_DETACH) != 0 || rmdir("/old") != 0 ||
      mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
            nullptr) != 0 ||
      chdir("/work") != 0)
    give_up(plan, 8);
}

bool limit(decltype(RLIMIT_CPU) what, uint64_t value) {
  // SIGXCPU comes at the soft limit of CPU time, SIGKILL a second later.
  const rlimit bound{value, what == RLIMIT_CPU ? value + 1 : value};
  return setrlimit(what, &bound) == 0;
}

bool drop_privileges() {
  for (int capability = 0; capability <= 63; ++capability)
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL) return false;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return false;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) return false;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

[[noreturn]] void run_program(const SandboxPlan& plan) {
  setsid();
  if (dup2(plan.in, 0) < 0 || dup2(plan.out, 1) < 0 || dup2(plan.err, 2) < 0) give_up(plan, 10);
  // The report's file is 3, so that one call closes all above it.
  if (plan.report != 3 && dup3(plan.report, 3, O_CLOEXEC) != 3) give_up(plan, 10);
  if (fcntl(3, F_SETFD, FD_CLOEXEC) != 0) give_up(plan, 10);
  SandboxReport failure;
  if (syscall(SYS_close_range, 4U, ~0U, 0) != 0) failure.failed_step = 10;
  const bool limited =
      limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, plan.cpu_seconds) &&
      limit(RLIMIT_AS, plan.memory_bytes) && limit(RLIMIT_FSIZE, plan.file_bytes) &&
      limit(RLIMIT_NOFILE, plan.open_files) && limit(RLIMIT_NPROC, plan.processes) &&
      limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0);
  if (failure.failed_step == 0 && (!limited || !drop_privileges())) failure.failed_step = 11;
  const sock_fprog program{static_cast<unsigned short>(plan.filter.size()),
                           const_cast<sock_filter*>(plan.filter.data())};
  if (failure.failed_step == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
    failure.failed_step = 12;
  if (failure.failed_step == 0) {
    execve(plan.argv[0], plan.argv.data(), plan.environment.data());
    failure.failed_step = 13;
  }
  failure.error = errno;
  const ssize_t written = write(3, &failure, sizeof failure);
  _exit(written == sizeof failure ? 1 : 2);
}

void change_user(const SandboxPlan& plan) {
  constexpr int inner_id = 1000;
  if ((plan.clear_groups && syscall(SYS_setgroups, 0, nullptr) != 0) ||
      syscall(SYS_setresgid, inner_id, inner_id, inner_id) != 0 ||
      syscall(SYS_setresuid, inner_id, inner_id, inner_id) != 0)
    give_up(plan, 9);
}

// Closes the parent's other files: the pipes of a run beside this one would not end while this
// process holds them, nor would this run's own when the parent is gone.
void close_others(const SandboxPlan& plan) {
  std::array<int, 5> kept = {plan.go, plan.report, plan.out, plan.err, plan.in};
  std::sort(kept.begin(), kept.end());
  int first = STDERR_FILENO + 1;
  for (const int file : kept) {
    if (file > first && syscall(SYS_close_range, first, file - 1, 0) != 0) give_up(plan, 14);
    first = std::max(first, file + 1);
  }
  if (syscall(SYS_close_range, first, ~0U, 0) != 0) give_up(plan, 14);
}

// This process is the first of its namespace: when it ends, the kernel ends all others there. A
// change of the user takes the wish back, so it comes after that; a parent that was gone already
// has left the pipe of reports without a reader.
void die_with_parent(const SandboxPlan& plan) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  pollfd reports{plan.report, 0, 0};
  if (poll(&reports, 1, 0) != 0) _exit(2);
}

}  // namespace

const char* sandbox_step_name(int step) {
  return step > 0 && step < static_cast<int>(steps.size()) ? steps[static_cast<size_t>(step)]
                                                           : "an unknown step";
}

void run_sandbox_child(const SandboxPlan& plan) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  close_others(plan);
  char byte = 0;
  if (read(plan.go, &byte, 1) != 1) give_up(plan, 1);
  change_user(plan);
  die_with_parent(plan);
  build_root(plan);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // With CLONE_VFORK this goes on when the program has been executed: what it has in memory then
  // is its own.
  const pid_t program = static_cast<pid_t>(syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
  if (program < 0) give_up(plan, 10);
  if (program == 0) run_program(plan);
  close(plan.out);
  close(plan.err);
  SandboxReport report;
  report.started = true;
  bool told = write(plan.report, &report, sizeof report) == sizeof report;
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, 0);
    if (ended < 0 && errno != EINTR) give_up(plan, 10);
    if (ended != program) continue;
    report.status = status;
    break;
  }
  report.started = false;
  told = write(plan.report, &report, sizeof report) == sizeof report && told;
  _exit(told ? 0 : 2);
}

}  // namespace minke
