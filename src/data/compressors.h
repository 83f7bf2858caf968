#pragma once
// What general compressors make of a text: the measure beside a language model's bits per byte.

#include <cstdint>
#include <string_view>

namespace minke {

// Bytes of the file that `xz -9` writes; memory of about eleven times the text.
int64_t xz_bytes(std::string_view text);
// Bytes of the file that `gzip -9` writes, which names no file.
int64_t gzip_bytes(std::string_view text);

}  // namespace minke
