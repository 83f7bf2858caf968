#include "text/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace minke {
namespace {

constexpr uint64_t high_bits = 0x8080808080808080ull;

uint8_t byte_at(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// Bytes that a character with this first byte has; 0 for a byte that begins none.
size_t length_from_lead(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

// The second byte's range excludes overlong forms, surrogates and values above U+10FFFF.
bool second_byte_fits(uint8_t lead, uint8_t second) {
  if (lead == 0xE0) return second >= 0xA0 && second <= 0xBF;
  if (lead == 0xED) return second >= 0x80 && second <= 0x9F;
  if (lead == 0xF0) return second >= 0x90 && second <= 0xBF;
  if (lead == 0xF4) return second >= 0x80 && second <= 0x8F;
  return second >= 0x80 && second <= 0xBF;
}

// True when the bytes present can belong to a character with the lead byte text[0].
bool continues_well(std::string_view text, size_t length) {
  if (text.size() > 1 && length > 1 && !second_byte_fits(byte_at(text, 0), byte_at(text, 1)))
    return false;
  for (size_t i = 2; i < std::min(length, text.size()); ++i)
    if ((byte_at(text, i) & 0xC0) != 0x80) return false;
  return true;
}

}  // namespace

size_t utf8_character(std::string_view text) {
  if (text.empty()) return 0;
  const size_t length = length_from_lead(byte_at(text, 0));
  return length <= text.size() && continues_well(text, length) ? length : 0;
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    uint64_t word;
    while (at + 8 <= text.size() &&
           (std::memcpy(&word, text.data() + at, 8), word & high_bits) == 0)
      at += 8;
    const size_t length = utf8_character(text.substr(at));
    if (length == 0) break;
    at += length;
  }
  return at;
}

size_t incomplete_utf8_suffix(std::string_view text) {
  for (size_t bytes = 1; bytes <= std::min<size_t>(3, text.size()); ++bytes) {
    const std::string_view tail = text.substr(text.size() - bytes);
    const uint8_t lead = byte_at(tail, 0);
    if ((lead & 0xC0) == 0x80) continue;
    const size_t length = length_from_lead(lead);
    return length > bytes && continues_well(tail, length) ? bytes : 0;
  }
  return 0;
}

std::string repair_utf8(std::string_view text) {
  std::string repaired;
  while (!text.empty()) {
    const size_t valid = valid_utf8_prefix(text);
    repaired += text.substr(0, valid);
    text.remove_prefix(valid);
    if (text.empty()) break;
    repaired += "\uFFFD";
    text.remove_prefix(1);
  }
  return repaired;
}

void append_utf8(std::string& text, char32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xC0 | (c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xE0 | (c >> 12));
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0 | (c >> 18));
    tail(12), tail(6), tail(0);
  }
}

char32_t first_code_point(std::string_view text) {
  const size_t length = length_from_lead(byte_at(text, 0));
  if (length <= 1) return byte_at(text, 0);
  char32_t code_point = byte_at(text, 0) & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) code_point = code_point << 6 | (byte_at(text, i) & 0x3Fu);
  return code_point;
}

}  // namespace minke
