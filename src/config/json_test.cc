#include "config/json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "config/sorted_json.h"

namespace minke {
namespace {

std::string message_of(const std::string& text) {
  try {
    parse_json(text, "file");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string object_of(int keys) {
  std::string text = "{";
  for (int i = 0; i < keys; ++i) text += fmt::format("{}\"k{}\":{}", i ? "," : "", i, i);
  return text + "}";
}

TEST(Json, SaysWhatIsWrong) {
  EXPECT_NE(
      message_of("{\"a\":\n x}").find("file: not valid JSON: parse error at line 2, column 2"),
      std::string::npos);
  EXPECT_EQ(message_of(std::string(65, '[')), "file: JSON nested deeper than 64 levels");
  EXPECT_EQ(message_of(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_EQ(message_of(object_of(5'001)), "file: a JSON object with more than 5000 keys");
}

// What stands in strings counts for nothing, and each object for itself.
TEST(Json, CountsWhatIsThere) {
  EXPECT_EQ(message_of("\"" + std::string(100, '{') + "\\\"" + std::string(30'000, ':') + "\""),
            "");
  EXPECT_EQ(message_of("[" + object_of(4'000) + "," + object_of(4'000) + "]"), "");
  EXPECT_EQ(message_of("{\"a\":" + object_of(4'000) + ",\"b\":" + object_of(4'000) + "}"), "");
  EXPECT_NE(message_of("]]]" + std::string(10, '{')).find("not valid JSON"), std::string::npos);
  EXPECT_EQ(parse_sorted_json(object_of(50'000), "file").size(), 50'000u);
}

}  // namespace
}  // namespace minke
