#pragma once
// How a weight's elements lie in a model file: plain numbers, or blocks of small integers with
// scales. Names, sizes and layouts of the blocks are GGML's (docs/formats-gguf.md); their
// arithmetic is in kernels/.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace minke {

enum class BlockFormat : uint8_t {
  f32,
  f16,
  bf16,
  f8_e4m3,  // DeepSeek's: a scale for each 128 × 128 elements stands in a tensor of its own
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
};
constexpr int block_format_count = 16;

int64_t block_elements(BlockFormat format);  // 1 for plain numbers, 32 or 256
int64_t block_bytes(BlockFormat format);
std::string_view block_format_name(BlockFormat format);  // "Q4_K", as people write it
// The format of that name in upper or lower case, or nothing.
std::optional<BlockFormat> find_block_format(std::string_view name);

constexpr int64_t f8_scale_block = 128;  // rows and columns that share a scale of f8_e4m3

// Bytes of so many elements; an Error if they are no whole blocks.
int64_t block_format_bytes(BlockFormat format, int64_t elements);

// A matrix [rows, columns] as a model file holds it, rows one after the other. Owns nothing.
struct StoredMatrix {
  BlockFormat format = BlockFormat::f32;
  int64_t rows = 0, columns = 0;
  const std::byte* data = nullptr;  // need not be aligned
  // f8_e4m3: f32 multipliers [ceil(rows / 128), ceil(columns / 128)], the first row's block first;
  // need not be aligned either.
  const std::byte* scales = nullptr;
  // If given, row r of the matrix is row row_order[r] of what is stored.
  const int32_t* row_order = nullptr;

  int64_t row_bytes() const { return block_format_bytes(format, columns); }
  const std::byte* row(int64_t r) const {
    return data + (row_order ? row_order[r] : r) * row_bytes();
  }
  // Rows [begin, end). Those of f8_e4m3 begin at a multiple of 128, as their scales do.
  StoredMatrix slice_rows(int64_t begin, int64_t end) const;
};

}  // namespace minke
