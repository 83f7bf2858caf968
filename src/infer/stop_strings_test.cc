#include "infer/stop_strings.h"

#include <gtest/gtest.h>

namespace minke {
namespace {

TEST(StopStrings, AreFoundAcrossPieces) {
  StopStrings stops({"END", "", "\n\n"});
  EXPECT_EQ(stops.push("one E"), "one ");
  EXPECT_EQ(stops.push("N"), "");
  EXPECT_EQ(stops.push("Q"), "ENQ");
  EXPECT_EQ(stops.push("two\n"), "two");
  EXPECT_EQ(stops.push("EN"), "\n");
  EXPECT_EQ(stops.push("D three"), "");
  EXPECT_EQ(stops.found(), "END");
  EXPECT_EQ(stops.finish(), "");
}

TEST(StopStrings, TheFirstOneCounts) {
  StopStrings stops({"b", "ab"});
  EXPECT_EQ(stops.push("xxabab"), "xx");
  EXPECT_EQ(stops.found(), "ab");
}

TEST(StopStrings, NothingIsLostWithoutOne) {
  StopStrings stops({"aab"});
  std::string text;
  for (const char c : std::string("aaaabaa").substr(0, 4)) text += stops.push(std::string(1, c));
  EXPECT_EQ(text + stops.finish(), "aaaa");
  EXPECT_TRUE(stops.found().empty());
}

}  // namespace
}  // namespace minke
