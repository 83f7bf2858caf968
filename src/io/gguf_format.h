#pragma once
// What the GGUF reader and writer share: constants of the format and GGML's numbers of types.

#include <optional>

#include "io/gguf.h"

namespace minke {

constexpr std::string_view gguf_magic = "GGUF";
constexpr uint32_t gguf_version = 3;
constexpr uint64_t gguf_default_alignment = 32;
constexpr size_t gguf_max_rank = 4;
constexpr std::string_view gguf_alignment_key = "general.alignment";

// Bytes of a value of this type; 0 for strings and arrays.
size_t gguf_type_bytes(GgufType type);

// GGML's number of a tensor's type and back; nothing for those that only the other side has.
std::optional<uint32_t> ggml_type_of(BlockFormat format);
std::optional<BlockFormat> block_format_of_ggml(uint32_t type);
// GGML's name of a type that Minke does not read ("IQ2_XXS"), for messages.
std::string_view ggml_type_name(uint32_t type);

}  // namespace minke
