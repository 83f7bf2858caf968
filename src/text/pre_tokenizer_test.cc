#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace minke {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(const SplitPatterns& patterns, std::string_view text) {
  const PreTokenizer pre_tokenizer(patterns);
  PreTokenizer::Workspace workspace;
  Pieces pieces;
  pre_tokenizer.split(text, workspace, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

TEST(PreTokenizer, SplitsAsDeepSeekV3) {
  const auto patterns = deepseek_v3_patterns();
  EXPECT_EQ(split(patterns, "Hello world, 12345!"),
            (Pieces{"Hello", " world", ",", " ", "123", "45", "!"}));
  EXPECT_EQ(split(patterns, "abc中文def"), (Pieces{"abc", "中文", "def"}));
  EXPECT_EQ(split(patterns, "a  b\r\n\n  c"), (Pieces{"a", " ", " b", "\r\n\n", " ", " c"}));
  EXPECT_EQ(split(patterns, "x;\ny"), (Pieces{"x", ";\n", "y"}));
  EXPECT_EQ(split(patterns, ".name (don't)"), (Pieces{".name", " (", "don", "'t", ")"}));
  EXPECT_EQ(split(patterns, ""), Pieces{});
}

TEST(PreTokenizer, TakesDigitsOneByOne) {
  EXPECT_EQ(split(deepseek_v3_patterns(true), "a 123"), (Pieces{"a", " ", "1", "2", "3"}));
}

TEST(PreTokenizer, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(split({R"(\s+)"}, "a\u00a0\u3000b"), (Pieces{"a", "\u00a0\u3000", "b"}));
  EXPECT_EQ(split({R"(\s+)"}, "a\u180eb"), (Pieces{"a\u180eb"}));
}

TEST(PreTokenizer, EmptyMatchesSplitNothing) {
  EXPECT_EQ(split({"x*"}, "aéxb"), (Pieces{"aé", "x", "b"}));
}

TEST(PreTokenizer, RemovesAndPrefixes) {
  SplitPattern spaces(R"(\s+)");
  spaces.keep_matches = false;
  EXPECT_EQ(split({spaces}, " a b"), (Pieces{"a", "b"}));
  SplitPattern words(R"([a-z]+)");
  words.keep_rest = false;
  EXPECT_EQ(split({words}, "a1b"), (Pieces{"a", "b"}));
  SplitPattern prefixed(R"(x)");
  prefixed.prefix_space = true;
  EXPECT_EQ(split({R"(\d)", prefixed}, "ax1 b"), (Pieces{" a", "x", " 1", " b"}));
}

TEST(PreTokenizer, NamesABadPattern) {
  try {
    const PreTokenizer bad({"[a-"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("[a-"), std::string::npos);
  }
}

TEST(PreTokenizer, LongRunsAreNoTrouble) {
  for (const char* unit : {"a", " ", "!", "\n", "中", "1"}) {
    std::string text;
    for (int i = 0; i < 1'000'000; ++i) text += unit;
    size_t bytes = 0;
    const PreTokenizer pre_tokenizer(deepseek_v3_patterns());
    PreTokenizer::Workspace workspace;
    pre_tokenizer.split(text, workspace, [&](std::string_view piece) { bytes += piece.size(); });
    EXPECT_EQ(bytes, text.size());
  }
}

}  // namespace
}  // namespace minke
