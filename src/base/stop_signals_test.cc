#include "base/stop_signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace minke {
namespace {

TEST(StopSignals, NotesTheFirst) {
  const StopSignals signals;
  EXPECT_FALSE(signals.requested());
  std::raise(SIGTERM);
  EXPECT_TRUE(signals.requested());
}

}  // namespace
}  // namespace minke
