#include "post/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <random>

#include "base/error.h"
#include "base/files.h"
#include "base/machine.h"
#include "post/sandbox_child.h"
#include "post/sandbox_filter.h"

namespace minke {
namespace {

constexpr double tick_seconds = 0.02;

// An open file, closed with it.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { close(); }
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }
  int get() const { return number_; }

 private:
  int number_ = -1;
};

struct Pipe {
  Descriptor read_end, write_end;

  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail("sandbox: no pipe: {}", strerror(errno));
    read_end = Descriptor(ends[0]);
    write_end = Descriptor(ends[1]);
  }
};

// The folder that the new root is mounted on: empty, here for the length of a run.
struct RootFolder {
  std::string path;

  RootFolder() : path((fs::temp_directory_path() / "minke-sandbox-XXXXXX").string()) {
    if (!mkdtemp(path.data()) || chmod(path.c_str(), 0755) != 0)
      fail("sandbox: no folder {}: {}", path, strerror(errno));
  }
  ~RootFolder() { rmdir(path.c_str()); }
};

// The system's folders: as they are, or as links where they are links into /usr.
void add_system(SandboxPlan& plan) {
  for (const char* folder : {"usr", "bin", "lib", "lib32", "lib64", "libx32"}) {
    const fs::path path = fs::path("/") / folder;
    if (fs::is_symlink(path))
      plan.links.push_back({fs::read_symlink(path).string(), folder});
    else if (fs::is_directory(path))
      plan.binds.push_back({path.string(), folder, true});
  }
  for (const char* file : {"etc/ld.so.cache", "etc/alternatives", "dev/null", "dev/urandom"}) {
    const fs::path path = fs::path("/") / file;
    if (fs::exists(path)) plan.binds.push_back({path.string(), file, fs::is_directory(path)});
  }
}

void add_files(SandboxPlan& plan, const std::vector<SandboxFile>& files) {
  for (const SandboxFile& file : files) {
    require(!file.name.empty() && file.name.find('/') == std::string::npos,
            "the sandbox's file name '{}'", file.name);
    plan.files.emplace_back("work/" + file.name, file.content);
  }
}

SandboxPlan make_plan(const std::string& root, const std::vector<SandboxFile>& files,
                      const SandboxConfig& config) {
  SandboxPlan plan;
  plan.root = root;
  add_system(plan);
  add_files(plan, files);
  plan.tmpfs_options = fmt::format("size={}m,nr_inodes=1024,mode=755", config.file_mib);
  plan.filter = sandbox_filter();
  plan.memory_bytes = static_cast<uint64_t>(config.memory_mib) << 20;
  plan.file_bytes = static_cast<uint64_t>(config.file_mib) << 20;
  plan.cpu_seconds = static_cast<uint64_t>(std::ceil(config.cpu_seconds));
  plan.processes = static_cast<uint64_t>(config.processes) + 1;  // the first one is ours
  plan.open_files = static_cast<uint64_t>(config.open_files);
  plan.clear_groups = geteuid() == 0;
  return plan;
}

bool write_proc(pid_t child, const char* name, const std::string& text) {
  const Descriptor file(
      open(fmt::format("/proc/{}/{}", child, name).c_str(), O_WRONLY | O_CLOEXEC));
  return file.get() >= 0 &&
         write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// The program's user is nobody where we may choose, otherwise ours, without its rights.
bool map_user(pid_t child) {
  constexpr int inner_id = 1000, nobody = 65534;
  const bool is_root = geteuid() == 0;
  if (!is_root && !write_proc(child, "setgroups", "deny")) return false;
  return write_proc(child, "uid_map",
                    fmt::format("{} {} 1", inner_id, is_root ? nobody : geteuid())) &&
         write_proc(child, "gid_map",
                    fmt::format("{} {} 1", inner_id, is_root ? nobody : getegid()));
}

// Bytes in memory of all that descend from a process, without its own: the first process of the
// namespaces is a copy of this program and shares the pages of all that is in memory here.
int64_t descendants_bytes(pid_t process, int depth = 0) {
  constexpr int deepest = 64;
  const std::string folder = fmt::format("/proc/{}", process);
  int64_t bytes = 0;
  std::error_code gone;
  for (fs::directory_iterator task(folder + "/task", gone), end; !gone && task != end;
       task.increment(gone)) {
    std::ifstream children(task->path() / "children");
    for (pid_t child = 0; depth < deepest && children >> child;) {
      int64_t pages = 0, resident = 0;
      std::ifstream(fmt::format("/proc/{}/statm", child)) >> pages >> resident;
      bytes += resident * sysconf(_SC_PAGESIZE) + descendants_bytes(child, depth + 1);
    }
  }
  return bytes;
}

// One run as the parent sees it.
class Run {
 public:
  Run(SandboxPlan& plan, const SandboxConfig& config) : config_(config) {
    plan.go = go_.read_end.get();
    plan.report = report_.write_end.get();
    plan.out = out_.write_end.get();
    plan.err = err_.write_end.get();
    plan.in = null_.get();
    if (null_.get() < 0) fail("sandbox: /dev/null: {}", strerror(errno));
    constexpr unsigned long namespaces =
        CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
    child_ = static_cast<pid_t>(syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0));
    if (child_ == 0) run_sandbox_child(plan);
    if (child_ < 0)
      fail(
          "sandbox: the kernel gives no namespaces ({}); nothing was run. Unprivileged user "
          "namespaces must be allowed, see docs/rewards.md",
          strerror(errno));
    for (Descriptor* end : {&go_.read_end, &report_.write_end, &out_.write_end, &err_.write_end})
      end->close();
  }
  ~Run() { end_all(); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  SandboxResult finish() {
    if (!map_user(child_))
      fail("sandbox: the child's user cannot be mapped ({}); nothing was run", strerror(errno));
    if (write(go_.write_end.get(), "g", 1) != 1) fail("sandbox: the child is gone");
    const double deadline = now_seconds() + config_.wall_seconds;
    while (!stopped_ &&
           (out_.read_end.get() >= 0 || err_.read_end.get() >= 0 || report_.read_end.get() >= 0)) {
      read_what_came();
      if (now_seconds() > deadline) stop(SandboxEnd::timed_out);
      if (started_ && descendants_bytes(child_) > config_.memory_mib << 20)
        stop(SandboxEnd::out_of_memory);
    }
    end_all();
    return interpret();
  }

 private:
  void stop(SandboxEnd end) {
    if (!stopped_) result_.end = end;
    stopped_ = true;
  }

  void end_all() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) continue;
    child_ = -1;
  }

  void read_what_came() {
    pollfd waiting[3] = {{out_.read_end.get(), POLLIN, 0},
                         {err_.read_end.get(), POLLIN, 0},
                         {report_.read_end.get(), POLLIN, 0}};
    poll(waiting, 3, static_cast<int>(tick_seconds * 1000));
    if (waiting[0].revents) read_text(out_.read_end, result_.out);
    if (waiting[1].revents) read_text(err_.read_end, result_.err);
    if (waiting[2].revents) read_report();
  }

  void read_text(Descriptor& from, std::string& text) {
    char buffer[16384];
    const ssize_t bytes = read(from.get(), buffer, sizeof buffer);
    if (bytes <= 0) return from.close();
    const size_t room = static_cast<size_t>(config_.output_kib << 10) - text.size();
    text.append(buffer, std::min(room, static_cast<size_t>(bytes)));
    if (static_cast<size_t>(bytes) > room) stop(SandboxEnd::too_much_output);
  }

  // The first report counts: a failed setup is told before the end of its process.
  void read_report() {
    SandboxReport report;
    const ssize_t bytes = read(report_.read_end.get(), &report, sizeof report);
    if (bytes != sizeof report) return report_.read_end.close();
    started_ |= report.started;
    if (report.started) return;
    if (!reported_) told_ = report;
    reported_ = true;
  }

  SandboxResult interpret() {
    if (reported_ && told_.failed_step != 0)
      fail("sandbox: {} failed: {}; nothing was run", sandbox_step_name(told_.failed_step),
           strerror(told_.error));
    if (stopped_) return std::move(result_);
    if (!reported_) fail("sandbox: its first process ended without a word");
    if (WIFSIGNALED(told_.status)) {
      result_.code = WTERMSIG(told_.status);
      result_.end = result_.code == SIGXCPU ? SandboxEnd::timed_out : SandboxEnd::signalled;
    } else {
      result_.code = WEXITSTATUS(told_.status);
    }
    return std::move(result_);
  }

  SandboxConfig config_;
  Pipe go_, report_, out_, err_;
  Descriptor null_{open("/dev/null", O_RDONLY | O_CLOEXEC)};
  pid_t child_ = -1;
  SandboxResult result_;
  SandboxReport told_;
  bool started_ = false, stopped_ = false, reported_ = false;
};

void check_program(const std::string& path, std::string_view key) {
  if (!path.starts_with("/usr/") || access(path.c_str(), X_OK) != 0)
    fail_usage("sandbox.{} is {}, expected a program in /usr: nothing else is seen in there", key,
               path);
}

// A word that the program cannot guess. Its file is gone before the answer runs, but the driver
// keeps the word in the answer's own process: an answer that searches its memory can find it
// (docs/rewards.md says so).
std::string secret() {
  std::random_device source;
  return fmt::format("passed-{:08x}{:08x}{:08x}", source(), source(), source());
}

// Runs the answer with its tests and says the secret when they have come to their end.
constexpr const char* python_driver = R"(def _run(space):
    import os
    with open("secret", "rb") as file:
        secret = file.read()
    os.remove("secret")
    say = os.write
    with open("answer.py", encoding="utf-8") as file:
        code = compile(file.read(), "answer.py", "exec")
    exec(code, space)
    say(1, b"\n" + secret)


_run(globals())
)";

// The same around main(), which the linker puts behind __real_main. The functions of .preinit_array
// run before all constructors, in the order of the objects: this one is linked first.
constexpr const char* cpp_driver = R"(#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static char secret[64];
static ssize_t size;
static void read_secret() {
  const int file = open("secret", O_RDONLY);
  size = read(file, secret, sizeof secret);
  close(file);
  unlink("secret");
}
__attribute__((section(".preinit_array"), used)) static void (*const first)() = read_secret;
extern "C" int __real_main(int, char**);
extern "C" int __wrap_main(int count, char** words) {
  const int code = __real_main(count, words);
  if (code == 0 && write(1, secret, static_cast<size_t>(size)) != size) return 1;
  return code;
}
)";

CodeResult interpret_code(const SandboxResult& result, bool reached_end) {
  if (result.succeeded() && reached_end) return {true, ""};
  constexpr size_t shown = 300;
  const std::string tail =
      result.err.substr(result.err.size() - std::min(result.err.size(), shown));
  return {false, result.succeeded() ? "it ended before the tests did"
                                    : fmt::format("{}: {}", result.summary(), tail)};
}

}  // namespace

std::string SandboxResult::summary() const {
  switch (end) {
    case SandboxEnd::exited:
      return fmt::format("exit code {}", code);
    case SandboxEnd::signalled:
      return fmt::format("ended by signal {}", code);
    case SandboxEnd::timed_out:
      return "the time ran out";
    case SandboxEnd::out_of_memory:
      return "too much memory";
    case SandboxEnd::too_much_output:
      return "too much output";
  }
  return "";
}

SandboxResult run_in_sandbox(const std::vector<std::string>& argv,
                             const std::vector<SandboxFile>& files, const SandboxConfig& config) {
  require(!argv.empty(), "a sandbox without a program");
  const std::string children =
      fmt::format("/proc/self/task/{}/children", static_cast<int64_t>(syscall(SYS_gettid)));
  if (!fs::exists(children))
    fail(
        "sandbox: this kernel does not list a process's children, so that memory could not be "
        "limited; nothing was run");
  const RootFolder root;
  SandboxPlan plan = make_plan(root.path, files, config);
  std::vector<std::string> words = argv;
  for (std::string& word : words) plan.argv.push_back(word.data());
  plan.argv.push_back(nullptr);
  std::vector<std::string> variables = {"PATH=/usr/bin:/bin", "HOME=/work", "TMPDIR=/work",
                                        "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"};
  for (std::string& variable : variables) plan.environment.push_back(variable.data());
  plan.environment.push_back(nullptr);
  return Run(plan, config).finish();
}

CodeResult run_code(const std::string& code, const std::string& tests, const std::string& language,
                    const SandboxConfig& config) {
  const std::string word = secret();
  SandboxResult result;
  if (language == "python") {
    check_program(config.python, "python");
    result = run_in_sandbox(
        {config.python, "-I", "main.py"},
        {{"main.py", python_driver}, {"answer.py", code + "\n" + tests + "\n"}, {"secret", word}},
        config);
  } else if (language == "cpp") {
    check_program(config.cxx, "cxx");
    // An answer that has put the tests' assert() or main() out of use does not reach them. The
    // secret is written when the compiler, which can read any file there, is done.
    const std::string program = code + "\n#undef NDEBUG\n#undef main\n#include <cassert>\n" + tests;
    result = run_in_sandbox({"/usr/bin/sh", "-c",
                             "\"$0\" -std=c++20 -Wl,--wrap=main -o main driver.cpp answer.cpp && "
                             "printf %s \"$1\" > secret && exec ./main",
                             config.cxx, word},
                            {{"driver.cpp", cpp_driver}, {"answer.cpp", program + "\n"}}, config);
  } else {
    fail_usage("code in '{}' cannot be run, expected python or cpp", language);
  }
  return interpret_code(result, result.out.find(word) != std::string::npos);
}

}  // namespace minke
