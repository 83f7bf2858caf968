#include "post/sandbox.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/machine.h"
#include "post/reward.h"
#include "text/utf8.h"

namespace minke {
namespace {

// What the sandbox cannot give here (no user namespaces, a build without libseccomp) it refuses;
// then there is nothing more to test.
bool is_available() {
  try {
    run_in_sandbox({"/usr/bin/true"}, {}, {});
    return true;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("sandbox: "), std::string::npos) << error.what();
    return false;
  }
}

class Sandbox : public testing::Test {
 protected:
  void SetUp() override {
    if (!is_available()) GTEST_SKIP() << "no sandbox on this machine";
    config.cpu_seconds = 2;
    config.wall_seconds = 5;
    config.memory_mib = 256;
  }

  SandboxResult python(const std::string& program) {
    return run_in_sandbox({config.python, "-I", "main.py"}, {{"main.py", program}}, config);
  }

  SandboxConfig config;
};

TEST_F(Sandbox, RunsAProgram) {
  const SandboxResult result = python("import sys; print(6 * 7); sys.exit(3)");
  EXPECT_EQ(result.out, "42\n");
  EXPECT_EQ(result.end, SandboxEnd::exited);
  EXPECT_EQ(result.code, 3) << result.err;
}

TEST_F(Sandbox, AnEndlessLoopEnds) {
  config.cpu_seconds = 1;
  EXPECT_EQ(python("while True: pass").end, SandboxEnd::timed_out);
  config.wall_seconds = 0.5;
  EXPECT_EQ(python("import time; time.sleep(60)").end, SandboxEnd::timed_out);
}

TEST_F(Sandbox, AForkBombIsSmallAndEnds) {
  config.wall_seconds = 1;
  config.processes = 8;
  const double start = now_seconds();
  const SandboxResult result = python(
      "import os, time\n"
      "made = 0\n"
      "while made < 1000:\n"
      "  try:\n"
      "    if os.fork() == 0: time.sleep(60)\n"
      "    made += 1\n"
      "  except OSError: break\n"
      "print(made, flush=True)\n"
      "while True:\n"
      "  try: os.fork()\n"
      "  except OSError: pass\n");
  EXPECT_EQ(result.end, SandboxEnd::timed_out);
  EXPECT_LE(std::stoi(result.out), 8);
  EXPECT_LT(now_seconds() - start, 10);
}

TEST_F(Sandbox, WhatStaysBehindEnds) {
  const double start = now_seconds();
  const SandboxResult result = python("import os, time\nif os.fork() == 0: time.sleep(60)\n");
  EXPECT_TRUE(result.succeeded()) << result.summary();
  EXPECT_LT(now_seconds() - start, 4);
}

TEST_F(Sandbox, NothingOutsideCanBeDeletedOrWritten) {
  const fs::path mine = fs::temp_directory_path() / fmt::format("minke-sandbox-test-{}", getpid());
  write_file(mine, "here");
  const SandboxResult result = python(
      "import os\n"
      "def attempt(f):\n"
      "  try: f(); print('done')\n"
      "  except OSError: print('no')\n"
      "attempt(lambda: os.remove('" +
      mine.string() +
      "'))\n"
      "attempt(lambda: os.remove('/usr/bin/true'))\n"
      "attempt(lambda: open('/usr/x', 'w'))\n"
      "attempt(lambda: open('/x', 'w'))\n"
      "attempt(lambda: os.rmdir('/work'))\n"
      "attempt(lambda: open('x', 'w'))\n");
  EXPECT_EQ(result.out, "no\nno\nno\nno\nno\ndone\n") << result.err;
  EXPECT_EQ(read_file(mine), "here");
  fs::remove(mine);
}

TEST_F(Sandbox, SecretsAreNotThere) {
  const char* home = std::getenv("HOME");
  const SandboxResult result = python(
      "import os\n"
      "for path in ['/etc/shadow', '/etc/passwd', '/proc/1/environ', '/root', '/home', '" +
      std::string(home ? home : "/root") +
      "']: print(os.path.exists(path))\n"
      "print(sorted(os.listdir('/work')), 'SECRET' in os.environ)\n");
  EXPECT_EQ(result.out, "False\nFalse\nFalse\nFalse\nFalse\nFalse\n['main.py'] False\n");
}

TEST_F(Sandbox, AMemoryHogEnds) {
  EXPECT_FALSE(python("x = bytearray(1 << 30)").succeeded());
  const SandboxResult many = python(
      "import os, time\n"
      "for i in range(6):\n"
      "  if os.fork() == 0: break\n"
      "x = bytearray(os.urandom(1)) * (100 << 20)\n"
      "time.sleep(60)\n");
  EXPECT_EQ(many.end, SandboxEnd::out_of_memory) << many.summary();
}

TEST_F(Sandbox, TheMemoryOfThisProgramDoesNotCount) {
  const std::vector<char> mine(300 << 20, 1);
  const SandboxResult result = python("import time; time.sleep(0.3); print('done')");
  EXPECT_EQ(result.out, "done\n") << result.summary() << mine[0];
}

// The one child of a process, when it has one.
pid_t wait_for_child(pid_t process) {
  pid_t child = 0;
  for (int i = 0; i < 500 && child == 0; ++i) {
    usleep(10000);
    std::ifstream(fmt::format("/proc/{}/task/{}/children", process, process)) >> child;
  }
  return child;
}

TEST_F(Sandbox, NothingOutlivesThisProgram) {
  config.wall_seconds = 60;
  const pid_t runner = fork();
  if (runner == 0) {
    python("import time; time.sleep(60)");
    _exit(0);
  }
  const pid_t first = wait_for_child(runner), program = wait_for_child(first);
  EXPECT_GT(program, 0);
  kill(runner, SIGKILL);
  EXPECT_EQ(waitpid(runner, nullptr, 0), runner);
  bool gone = false;
  for (int i = 0; i < 300 && !gone; ++i) {
    usleep(10000);
    gone = !fs::exists(fmt::format("/proc/{}", program));
  }
  EXPECT_TRUE(gone);
  if (!gone) kill(first, SIGKILL);
}

TEST_F(Sandbox, RunsBesideEachOtherEnd) {
  const double start = now_seconds();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      const std::string seconds = i == 0 ? "3" : "0.1";
      EXPECT_TRUE(python("import time; time.sleep(" + seconds + ")").succeeded());
      EXPECT_TRUE(i == 0 || now_seconds() - start < 2.5);
    });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Sandbox, AFloodOfOutputEnds) {
  config.output_kib = 64;
  const SandboxResult result = python("while True: print('x' * 1000)");
  EXPECT_EQ(result.end, SandboxEnd::too_much_output);
  EXPECT_EQ(result.out.size(), 64u << 10);
}

TEST_F(Sandbox, TheFolderIsLimited) {
  const SandboxResult result = python(
      "import os\n"
      "try:\n"
      "  for i in range(1000): open(str(i), 'wb').write(b'x' * (1 << 20))\n"
      "except OSError: print('full')\n");
  EXPECT_EQ(result.out, "full\n") << result.err;
}

TEST_F(Sandbox, ThereIsNoNetworkAndNoPrivilege) {
  const SandboxResult result = python(
      "import ctypes, os, socket\n"
      "try: socket.socket(); print('socket')\n"
      "except OSError: print('no socket')\n"
      "libc = ctypes.CDLL(None)\n"
      "print(libc.ptrace(0, 0, 0, 0), libc.unshare(0x10000000), libc.mount(b'a', b'/work', "
      "b'tmpfs', 0, 0))\n"
      "print(os.getuid())\n");
  EXPECT_EQ(result.out, "no socket\n-1 -1 -1\n1000\n") << result.err;
}

TEST_F(Sandbox, CodeIsJudgedByItsTests) {
  const std::string right = "def f(x): return x + 1", tests = "assert f(1) == 2";
  EXPECT_TRUE(run_code(right, tests, "python", config).passed);
  EXPECT_FALSE(run_code("def f(x): return x", tests, "python", config).passed);
  EXPECT_TRUE(run_code("from __future__ import annotations\n" + right + "\nprint(f(1), end='')",
                       tests, "python", config)
                  .passed);
  for (const char* cheat :
       {"import os; os._exit(0)", "exit(0)", "raise SystemExit", "print(input())",
        "import os; print(open('secret').read()); os._exit(0)",
        "import builtins, os\nprint(open('main.py').read() + "
        "open('answer.py').read())\nos._exit(0)",
        "import os; os.execv('/usr/bin/true', ['true'])",
        "import atexit, os; atexit.register(os._exit, 0)"})
    EXPECT_FALSE(run_code(cheat, tests, "python", config).passed) << cheat;
  EXPECT_EQ(run_code("exit(0)", tests, "python", config).note, "it ended before the tests did");
  EXPECT_FALSE(run_code("def f(x", tests, "python", config).passed);
  EXPECT_THROW(run_code(right, tests, "perl", config), Error);
  config.python = "/root/python";
  EXPECT_THROW(run_code(right, tests, "python", config), Error);
}

// What a program said is cut somewhere and may be no text at all; lines of JSON hold it.
TEST_F(Sandbox, AVerdictIsValidText) {
  Problem problem;
  problem.check = ProblemCheck::code;
  problem.details = {{"tests", ""}, {"language", "python"}};
  for (const char* code : {"import sys; sys.exit('ä' * 400)",
                           "import os; os.write(2, bytes([255, 10]) * 300); os._exit(1)"}) {
    const Verdict verdict = make_reward({}, config)->judge(problem, code);
    EXPECT_FALSE(verdict.correct);
    EXPECT_EQ(valid_utf8_prefix(verdict.note), verdict.note.size());
    EXPECT_GT(verdict.note.size(), 300u);
  }
}

TEST_F(Sandbox, CppIsCompiledInside) {
  if (!fs::exists(config.cxx)) GTEST_SKIP() << "no " << config.cxx;
  config.memory_mib = 1024;
  config.cpu_seconds = 20;
  config.wall_seconds = 40;
  const std::string tests = "int main() { return f(1) == 2 ? 0 : 1; }";
  const CodeResult result = run_code("int f(int x) { return x + 1; }", tests, "cpp", config);
  EXPECT_TRUE(result.passed) << result.note;
  EXPECT_FALSE(run_code("int f(int x) { return x; }", tests, "cpp", config).passed);
  const std::string asserts = "#include <cassert>\nint main() { assert(f(1) == 2); }";
  EXPECT_TRUE(run_code("#include <iostream>\nint f(int x) { std::cout << x; return x + 1; }",
                       asserts, "cpp", config)
                  .passed);
  EXPECT_TRUE(run_code("int f(int x) { return x + 1; }",
                       "int main(int count, char**) { return f(count) == 2 ? 0 : 1; }", "cpp",
                       config)
                  .passed);
  const std::string steal =
      "#include <fcntl.h>\n#include <unistd.h>\n"
      "int f(int) { return 0; }\n"
      "static void steal() {\n"
      "  char word[64];\n"
      "  const ssize_t size = read(open(\"secret\", O_RDONLY), word, sizeof word);\n"
      "  if (size > 0) { write(1, word, size); _exit(0); }\n"
      "}\n";
  for (const char* cheat :
       {"#include <cstdlib>\nint f(int) { std::exit(0); }",
        "#include <unistd.h>\nint f(int) { _exit(0); }",
        "#include <cstdlib>\nint f(int) { return 0; }\nstatic const int early = (std::exit(0), 0);",
        "#define NDEBUG\nint f(int) { return 0; }",
        "int main() { return 0; }\n#define main tests\nint f(int) { return 0; }",
        "asm(\".section .rodata\\nword: .incbin \\\"secret\\\"\\n.previous\");\n"
        "#include <unistd.h>\nextern const char word[];\n"
        "int f(int) { write(1, word, 31); _exit(0); }",
        (steal + "__attribute__((constructor(0))) static void early() { steal(); }").c_str(),
        (steal + "__attribute__((constructor(101))) static void early() { steal(); }").c_str(),
        (steal + "__attribute__((section(\".preinit_array\"), used)) "
                 "static void (*early)() = steal;")
            .c_str(),
        "#include <cassert>\n#undef assert\n"
        "#define assert(x)\nint f(int) { return 0; }"}) {
    const CodeResult early = run_code(cheat, asserts, "cpp", config);
    EXPECT_FALSE(early.passed) << cheat;
  }
}

}  // namespace
}  // namespace minke
