#pragma once
// base/: what every floor stands on: errors, logging, threads, random numbers, files, the machine.
// It includes nothing of Minke's. Nothing here knows what a model is.

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace minke {

// The program's exit codes (see docs/architecture.md).
enum class ExitCode : int { done = 0, failed = 1, usage = 2 };

// An error that a person reads: what is wrong, where, and what to do next. It ends the program with
// its exit code, or the request that caused it.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ExitCode code = ExitCode::failed)
      : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// The work could not be done (exit code 1).
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...), ExitCode::failed);
}

// The call or the configuration was wrong (exit code 2).
template <typename... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...), ExitCode::usage);
}

// An invariant of the program itself does not hold; always checked, in every build.
template <typename... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition)
    throw Error("internal error: " + fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace minke
