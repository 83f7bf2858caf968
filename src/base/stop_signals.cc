#include "base/stop_signals.h"

#include <csignal>
#include <initializer_list>

namespace minke {
namespace {

volatile std::sig_atomic_t stop_requested = 0;

void request(int signal) {
  stop_requested = 1;
  std::signal(signal, SIG_DFL);
}

// What a shell has ignored for a job in the background stays so.
void set_unless_ignored(int signal, void (*handler)(int)) {
  if (std::signal(signal, handler) == SIG_IGN) std::signal(signal, SIG_IGN);
}

}  // namespace

StopSignals::StopSignals() {
  stop_requested = 0;
  for (const int signal : {SIGINT, SIGTERM}) set_unless_ignored(signal, &request);
}

StopSignals::~StopSignals() {
  for (const int signal : {SIGINT, SIGTERM}) set_unless_ignored(signal, SIG_DFL);
}

bool StopSignals::requested() const { return stop_requested != 0; }

}  // namespace minke
