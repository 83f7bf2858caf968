#include "kernels/blocks.h"

#include <cstring>

#include "base/error.h"
#include "kernels/block_codes.h"
#include "tensor/dtype.h"

namespace minke {
namespace {

template <typename Number>
void widen(const std::byte* in, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    Number x;
    std::memcpy(&x, in + i * static_cast<int64_t>(sizeof x), sizeof x);
    out[i] = to_float(x);
  }
}

void dequantize_f8(const StoredMatrix& m, int64_t row, float* out) {
  widen<Float8E4M3>(m.row(row), m.columns, out);
  const int64_t stored_row = m.row_order ? m.row_order[row] : row;
  const int64_t blocks = (m.columns + f8_scale_block - 1) / f8_scale_block;
  const std::byte* scales = m.scales + stored_row / f8_scale_block * blocks * 4;
  for (int64_t i = 0; i < m.columns; ++i) {
    float scale;
    std::memcpy(&scale, scales + i / f8_scale_block * 4, 4);
    out[i] *= scale;
  }
}

void dequantize_blocks(BlockFormat format, const std::byte* in, int64_t columns, float* out) {
  const BlockScheme scheme = block_scheme(format);
  const int64_t elements = block_elements(format), bytes = block_bytes(format);
  BlockCodes codes{};
  for (int64_t begin = 0; begin < columns; begin += elements, in += bytes, out += elements) {
    read_block(format, in, codes);
    for (int64_t first = 0; first < elements; first += scheme.group) {
      const int64_t g = first / scheme.group;
      float scale = to_float(Float16{codes.scale});
      float min = scheme.mins ? to_float(Float16{codes.min}) : 0.0f;
      if (scheme.two_levels) {
        scale *= static_cast<float>(codes.scale_code[g]);
        if (scheme.mins) min *= static_cast<float>(codes.min_code[g]);
      }
      for (int64_t i = first; i < first + scheme.group; ++i) {
        const int code = scheme.table ? iq4_values[codes.code[i]] : codes.code[i];
        out[i] = scale * static_cast<float>(code - scheme.zero) - min;
      }
    }
  }
}

}  // namespace

void dequantize_rows(const StoredMatrix& m, int64_t row_begin, int64_t row_end, float* out) {
  require(row_begin >= 0 && row_begin <= row_end && row_end <= m.rows, "rows {} to {} of {}",
          row_begin, row_end, m.rows);
  for (int64_t r = row_begin; r < row_end; ++r, out += m.columns) switch (m.format) {
      case BlockFormat::f32:
        std::memcpy(out, m.row(r), m.columns * 4);
        break;
      case BlockFormat::f16:
        widen<Float16>(m.row(r), m.columns, out);
        break;
      case BlockFormat::bf16:
        widen<BFloat16>(m.row(r), m.columns, out);
        break;
      case BlockFormat::f8_e4m3:
        dequantize_f8(m, r, out);
        break;
      default:
        dequantize_blocks(m.format, m.row(r), m.columns, out);
    }
}

}  // namespace minke
