#pragma once
// UTF-8 as Unicode defines it: no surrogates, no overlong forms, nothing above U+10FFFF.
// Pure functions, thread-safe.

#include <cstddef>
#include <string>
#include <string_view>

namespace minke {

// Bytes of the character that text begins with; 0 when it begins with none (or is empty).
size_t utf8_character(std::string_view text);

// Bytes of the longest prefix that is valid.
size_t valid_utf8_prefix(std::string_view text);

// Bytes at the end that begin a character which is not complete yet (0 to 3).
size_t incomplete_utf8_suffix(std::string_view text);

// The text with every byte that is in no valid character replaced by U+FFFD.
std::string repair_utf8(std::string_view text);

// Appends the character with this code point; U+FFFD for one that UTF-8 cannot hold.
void append_utf8(std::string& text, char32_t code_point);

// The code point that valid, non-empty text begins with.
char32_t first_code_point(std::string_view text);

}  // namespace minke
