#pragma once
// An external program as a judge: it reads one JSON line for each response and writes one back.

#include <string>

#include "post/reward.h"

namespace minke {

// Owns the process, which runs from the first question on and is started again after a failure.
// Not thread-safe.
class CommandJudge {
 public:
  CommandJudge(std::string command, double seconds);
  ~CommandJudge();
  CommandJudge(const CommandJudge&) = delete;
  CommandJudge& operator=(const CommandJudge&) = delete;

  // Sends {"id", "prompt", "answer", "details", "response"} and reads {"reward": number, "correct":
  // true or false (default: reward > 0), "note": text}. A program that cannot be started, ends,
  // says nothing in time, or anything else, is an Error.
  Verdict ask(const Problem& problem, std::string_view response);

 private:
  void start();
  void stop();
  void send_line(const std::string& line, double deadline);
  std::string receive_line(double deadline);

  std::string command_;
  double seconds_;
  int socket_ = -1;  // the process's stdin and stdout
  int process_ = -1;
};

}  // namespace minke
