#include "text/utf8.h"

#include <gtest/gtest.h>

#include "text/byte_alphabet.h"

namespace minke {
namespace {

TEST(Utf8, KnowsCharacters) {
  EXPECT_EQ(utf8_character("a"), 1u);
  EXPECT_EQ(utf8_character("é"), 2u);
  EXPECT_EQ(utf8_character("中"), 3u);
  EXPECT_EQ(utf8_character("😀"), 4u);
  for (const char* invalid : {"", "\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80",
                              "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE4\xB8", "\xC3(", "\xFF"})
    EXPECT_EQ(utf8_character(invalid), 0u) << invalid;
}

TEST(Utf8, EveryCodePointGoesThereAndBack) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    ASSERT_EQ(utf8_character(text), text.size());
    ASSERT_EQ(first_code_point(text), c);
  }
}

TEST(Utf8, FindsTheValidPrefix) {
  EXPECT_EQ(valid_utf8_prefix("plain text of many bytes, 中文"), 32u);
  EXPECT_EQ(valid_utf8_prefix("0123456789\xFF"), 10u);
  EXPECT_EQ(valid_utf8_prefix("中\xE4\xB8"), 3u);
}

TEST(Utf8, KnowsWhatMayStillComplete) {
  EXPECT_EQ(incomplete_utf8_suffix("ab"), 0u);
  EXPECT_EQ(incomplete_utf8_suffix("a\xE4"), 1u);
  EXPECT_EQ(incomplete_utf8_suffix("a\xE4\xB8"), 2u);
  EXPECT_EQ(incomplete_utf8_suffix("a\xF0\x9F\x98"), 3u);
  EXPECT_EQ(incomplete_utf8_suffix("中"), 0u);
  EXPECT_EQ(incomplete_utf8_suffix("a\xED\xA0"), 0u);  // would be a surrogate
  EXPECT_EQ(incomplete_utf8_suffix("\x80\x80\x80"), 0u);
}

TEST(Utf8, RepairsWhatIsInvalid) { EXPECT_EQ(repair_utf8("a\xFF中\xE4"), "a\uFFFD中\uFFFD"); }

TEST(ByteAlphabet, AllBytesGoThereAndBack) {
  std::string bytes;
  for (int b = 0; b < 256; ++b) bytes += static_cast<char>(b);
  EXPECT_EQ(from_byte_alphabet(to_byte_alphabet(bytes)), bytes);
  EXPECT_EQ(to_byte_alphabet(" a\n"), "ĠaĊ");
  EXPECT_FALSE(from_byte_alphabet("｜").has_value());
  EXPECT_EQ(byte_alphabet_order()[0], '!');
  EXPECT_EQ(byte_alphabet_order()[255], 0xAD);
}

}  // namespace
}  // namespace minke
