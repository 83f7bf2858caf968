#include "train/profile.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>

#include "base/machine.h"

namespace minke {
namespace {

void wait(double seconds) {
  const double end = now_seconds() + seconds;
  while (now_seconds() < end) continue;
}

void some_step() {
  const ProfilePart part("outer");
  {
    const ProfileScope whole("work", ProfileLimit::memory, 1e6);
    const ProfilePart inner("inner");
    const ProfileScope inside("part of work", ProfileLimit::f32, 1);  // is not counted twice
    wait(2e-3);
  }
  const ProfilePart other("other part");
  const ProfileScope again("work", ProfileLimit::bf16, 2e6);
  wait(1e-3);
}

TEST(StepProfile, AddsUpToTheStepsAndCountsNothingTwice) {
  StepProfile profile;
  for (int step = 0; step < 2; ++step) {
    profile.begin_step();
    const double start = now_seconds();
    some_step();
    std::thread([] { some_step(); }).join();  // other threads are not profiled
    profile.end_step(now_seconds() - start);
  }
  const auto json = profile.json({});
  ASSERT_EQ(json["operations"].size(), 2u);
  double longest = json["operations"][0]["seconds"];
  for (const auto& operation : json["operations"]) {  // a busy machine may turn them round
    EXPECT_LE(operation["seconds"].get<double>(), std::exchange(longest, operation["seconds"]));
    EXPECT_EQ(operation["calls"], 2);
    if (operation["part"] == "outer") EXPECT_GE(operation["seconds"].get<double>(), 4e-3);
  }
  double sum = json["seconds_between_operations"];
  EXPECT_GE(sum, 5e-3);
  for (const auto& operation : json["operations"]) sum += operation["seconds"].get<double>();
  EXPECT_NEAR(sum, json["seconds"].get<double>(), 1e-9);
}

TEST(StepProfile, IsOffWithoutAStep) {
  some_step();
  EXPECT_TRUE(stop_profile().empty());
}

}  // namespace
}  // namespace minke
