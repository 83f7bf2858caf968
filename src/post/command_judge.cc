#include "post/command_judge.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "base/machine.h"
#include "text/utf8.h"

namespace minke {
namespace {

// Waits until the socket is ready for `what`; an Error at the deadline.
void wait_for(int socket, short what, double deadline) {
  const double left = deadline - now_seconds();
  pollfd waiting{socket, what, 0};
  if (left <= 0 || poll(&waiting, 1, static_cast<int>(std::ceil(left * 1000))) == 0)
    fail("the reward command said nothing in time");
}

Verdict parse_verdict(const std::string& line) {
  constexpr size_t shown_bytes = 200;
  const nlohmann::json reply = nlohmann::json::parse(line, nullptr, false);
  const auto has_type = [&](const char* key, bool (nlohmann::json::*is)() const noexcept) {
    return !reply.contains(key) || (reply[key].*is)();
  };
  if (!reply.is_object() || !reply.contains("reward") || !reply["reward"].is_number() ||
      !std::isfinite(reply["reward"].get<double>()) ||
      !has_type("correct", &nlohmann::json::is_boolean) ||
      !has_type("note", &nlohmann::json::is_string))
    fail("the reward command said '{}', expected an object with a number \"reward\"",
         repair_utf8(line.substr(0, shown_bytes)));
  Verdict verdict;
  verdict.reward = reply["reward"];
  verdict.correct = reply.value("correct", verdict.reward > 0);
  verdict.note = reply.value("note", "");
  return verdict;
}

}  // namespace

CommandJudge::CommandJudge(std::string command, double seconds)
    : command_(std::move(command)), seconds_(seconds) {}

CommandJudge::~CommandJudge() { stop(); }

void CommandJudge::start() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    fail("the reward command: no socket: {}", strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // so that all of it can be ended
  posix_spawnattr_setpgroup(&attributes, 0);
  char shell[] = "sh", option[] = "-c";
  char* argv[] = {shell, option, command_.data(), nullptr};
  const int status = posix_spawn(&process_, "/bin/sh", &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  socket_ = ends[0];
  if (status == 0) return;
  process_ = -1;
  stop();
  fail("the reward command cannot be started: {}", strerror(status));
}

void CommandJudge::stop() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
  if (process_ <= 0) return;
  kill(-process_, SIGKILL);
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) continue;
  process_ = -1;
}

void CommandJudge::send_line(const std::string& line, double deadline) {
  for (size_t done = 0; done < line.size();) {
    wait_for(socket_, POLLOUT, deadline);
    const ssize_t bytes =
        send(socket_, line.data() + done, line.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (bytes < 0 && errno != EAGAIN && errno != EINTR) fail("the reward command has ended");
    done += static_cast<size_t>(std::max<ssize_t>(0, bytes));
  }
}

std::string CommandJudge::receive_line(double deadline) {
  constexpr size_t longest = 1 << 20;
  std::string line;
  while (line.find('\n') == std::string::npos) {
    wait_for(socket_, POLLIN, deadline);
    char buffer[4096];
    const ssize_t bytes = recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR))
      fail("the reward command has ended");
    line.append(buffer, static_cast<size_t>(std::max<ssize_t>(0, bytes)));
    if (line.size() > longest) fail("the reward command's line has no end");
  }
  if (line.find('\n') + 1 != line.size()) fail("the reward command said more than one line");
  return line;
}

Verdict CommandJudge::ask(const Problem& problem, std::string_view response) {
  const nlohmann::json question = {{"id", problem.id},
                                   {"prompt", problem.prompt},
                                   {"answer", problem.answer},
                                   {"details", problem.details},
                                   {"response", repair_utf8(response)}};
  try {
    if (process_ < 0) start();
    const double deadline = now_seconds() + seconds_;
    send_line(question.dump() + "\n", deadline);
    return parse_verdict(receive_line(deadline));
  } catch (const Error&) {
    stop();  // what it says later would be the answer to another question
    throw;
  }
}

}  // namespace minke
