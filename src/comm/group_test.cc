#include "comm/group.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace minke {
namespace {

TEST(Group, OneRankKeepsItsValues) {
  const auto group = make_local_group();
  EXPECT_EQ(group->rank(), 0);
  EXPECT_EQ(group->size(), 1);
  std::vector<float> values = {1.0f, -2.0f};
  std::vector<int64_t> counts = {3, 4};
  group->all_reduce_sum(values);
  group->all_reduce_sum(counts);
  group->broadcast(std::as_writable_bytes(std::span(values)), 0);
  group->barrier();
  EXPECT_EQ(values, (std::vector<float>{1.0f, -2.0f}));
  EXPECT_EQ(counts, (std::vector<int64_t>{3, 4}));
  EXPECT_THROW(group->broadcast({}, 1), Error);
}

}  // namespace
}  // namespace minke
