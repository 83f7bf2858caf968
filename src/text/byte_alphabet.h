#pragma once
// The byte-level alphabet of GPT-2: each of the 256 bytes has a printable character, so that any
// token can be written in a JSON file. Bytes 33-126, 161-172 and 174-255 are the character of the
// same number; the other 68, in rising order, are U+0100, U+0101, ... Thread-safe.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace minke {

// The token's bytes, each as its character.
std::string to_byte_alphabet(std::string_view bytes);

// The inverse; nothing when a character is outside of the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view characters);

// The 256 bytes in the order of their characters: the order in which vocabularies list them.
const std::array<uint8_t, 256>& byte_alphabet_order();

}  // namespace minke
