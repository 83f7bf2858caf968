#include "text/byte_alphabet.h"

#include <algorithm>

#include "text/utf8.h"

namespace minke {
namespace {

struct Alphabet {
  std::array<char32_t, 256> character;  // of each byte
  std::array<int, 0x144> byte;          // of each character, -1 for none
  std::array<uint8_t, 256> order;

  Alphabet() {
    byte.fill(-1);
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      character[b] = printable ? static_cast<char32_t>(b) : next++;
      byte[character[b]] = b;
      order[b] = static_cast<uint8_t>(b);
    }
    std::sort(order.begin(), order.end(),
              [&](uint8_t a, uint8_t b) { return character[a] < character[b]; });
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string characters;
  for (const char byte : bytes)
    append_utf8(characters, alphabet().character[static_cast<uint8_t>(byte)]);
  return characters;
}

std::optional<std::string> from_byte_alphabet(std::string_view characters) {
  std::string bytes;
  while (!characters.empty()) {
    const size_t length = utf8_character(characters);
    const char32_t c = length == 0 ? 0x10FFFF : first_code_point(characters);
    if (c >= alphabet().byte.size() || alphabet().byte[c] < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet().byte[c]);
    characters.remove_prefix(length);
  }
  return bytes;
}

const std::array<uint8_t, 256>& byte_alphabet_order() { return alphabet().order; }

}  // namespace minke
