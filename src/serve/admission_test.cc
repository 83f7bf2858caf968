#include "serve/admission.h"

#include <gtest/gtest.h>

#include "api/error.h"

namespace minke {
namespace {

TEST(Admission, IsBoundedAndFair) {
  Admission admission(1, 4);
  auto first = admission.enter("a");
  auto a1 = admission.enter("a"), a2 = admission.enter("a"), b = admission.enter("b");
  auto gone = admission.enter("c");
  EXPECT_THROW(admission.enter("d"), ApiError);
  EXPECT_TRUE(first->wait(0));
  EXPECT_FALSE(a1->wait(0));
  gone.reset();
  EXPECT_EQ(admission.waiting(), 3);
  first.reset();
  EXPECT_TRUE(b->wait(0));  // the other client's turn
  EXPECT_FALSE(a1->wait(0));
  b.reset();
  EXPECT_TRUE(a1->wait(0));
  a1.reset();
  EXPECT_TRUE(a2->wait(0));
  a2.reset();
  EXPECT_EQ(admission.running() + admission.waiting(), 0);
}

TEST(ClientLimits, CountAndHold) {
  ClientLimits limits(2, 1);
  limits.count("a");
  limits.count("a");
  try {
    limits.count("a");
    FAIL() << "a third request in the minute";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, 429);
    EXPECT_GE(error.retry_after, 1);
  }
  limits.count("b");
  {
    const auto held = limits.hold("a");
    EXPECT_THROW(limits.hold("a"), ApiError);
    limits.hold("b");
  }
  limits.hold("a");
}

}  // namespace
}  // namespace minke
