#pragma once
// Weights as model files hold them (tensor/block_format.h), to numbers and back. A block's element
// is scale · (integer − offset) − minimum; layouts and rounding are those of GGML's reference
// (ggml-quants.c of llama.cpp) and bit-equal to its `gguf` Python package. FP8 is DeepSeek-V3's:
// blocks of 128 × 128 elements share the scale amax / 448. All functions: thread-safe on distinct
// outputs, serial.

#include "tensor/block_format.h"

namespace minke {

// Rows [row_begin, row_end) of m, in m's row order, as f32 [row_end − row_begin, m.columns].
void dequantize_rows(const StoredMatrix& m, int64_t row_begin, int64_t row_end, float* out);

// True if quantize_row() can write the format.
bool can_quantize_row(BlockFormat format);

// `count` elements, whole blocks, to block_format_bytes(format, count) bytes. F32, F16, BF16, Q8_0,
// Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K; another format is an Error. The K formats choose
// scales by searching for the least squared error. Not finite input gives blocks without meaning.
void quantize_row(BlockFormat format, const float* in, int64_t count, std::byte* out);

// Up to 128 rows [rows, columns] that share scales: `out` gets one byte for each element, `scales`
// one f32 for each 128 columns (1 where all elements are zero).
void quantize_f8_rows(const float* in, int64_t rows, int64_t columns, std::byte* out,
                      float* scales);

}  // namespace minke
