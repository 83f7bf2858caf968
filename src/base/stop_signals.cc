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

}  // namespace

StopSignals::StopSignals() {
  stop_requested = 0;
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, &request);
}

StopSignals::~StopSignals() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
}

bool StopSignals::requested() const { return stop_requested != 0; }

}  // namespace minke
