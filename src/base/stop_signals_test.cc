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

// As a shell does for its jobs in the background, which Ctrl-C is not meant for.
TEST(StopSignals, LeavesWhatIsIgnored) {
  std::signal(SIGINT, SIG_IGN);
  {
    const StopSignals signals;
    std::raise(SIGINT);
    EXPECT_FALSE(signals.requested());
  }
  EXPECT_EQ(std::signal(SIGINT, SIG_DFL), SIG_IGN);
}

}  // namespace
}  // namespace minke
