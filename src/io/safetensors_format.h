#pragma once
// What the safetensors reader and writer share: constants of the format and its dtype names.

#include <optional>

#include "io/safetensors.h"

namespace minke {

constexpr size_t safetensors_length_bytes = 8;            // the header's length, little-endian
constexpr uint64_t safetensors_max_header = 100'000'000;  // the format's own limit
constexpr const char* safetensors_index_name = "model.safetensors.index.json";

std::optional<FileDType> parse_file_dtype(std::string_view name);

}  // namespace minke
