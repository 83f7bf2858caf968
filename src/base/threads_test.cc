#include "base/threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>

#include "base/error.h"

namespace minke {
namespace {

// The stacks of a thousand threads do not fit into what is left of the address space.
TEST(Threads, TooManyAreAnErrorAndChangeNothing) {
  const int before = thread_count();
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &old), 0);
  const rlimit small{rlim_t{2} << 30, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &small), 0);
  std::string message;
  try {
    set_thread_count(1000);
  } catch (const Error& error) {
    message = error.what();
  }
  ASSERT_EQ(setrlimit(RLIMIT_AS, &old), 0);
  EXPECT_NE(message.find("cannot start 1000 threads"), std::string::npos) << message;
  EXPECT_EQ(thread_count(), before);
  std::atomic<int> done = 0;
  parallel_for(100, [&](int64_t) { ++done; });
  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace minke
