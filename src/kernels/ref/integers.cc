#include "kernels/ref/integers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/block_codes.h"
#include "kernels/packed.h"
#include "kernels/ref/element.h"

namespace minke::ref {
namespace {

// The chunk of a packed row that holds inner element `inner`.
struct Chunk {
  Chunk(const PackedMatrix& b, int64_t row, int64_t inner)
      : scheme(integer_scheme(b.packing)), column(row % panel_width) {
    const int64_t groups = std::min(integer_chunk, b.inner - inner / integer_chunk * integer_chunk);
    at = chunk_layout(scheme, groups / integer_group);
    data = reinterpret_cast<uint8_t*>(b.storage.data) +
           row / panel_width * panel_bytes(scheme, b.inner) +
           inner / integer_chunk * chunk_layout(scheme, integer_chunk / integer_group).bytes;
  }

  // The byte of element i of the chunk.
  uint8_t& code(int64_t i) const {
    const int64_t group = i / integer_group, steps = scheme.bits;
    const int64_t step = i % integer_group / 4 % steps;
    return data[((group * steps + step) * panel_width + column) * 4 + i % 4];
  }
  void set_code(int64_t i, int value) const {
    if (scheme.bits == 8)
      code(i) = static_cast<uint8_t>(value);
    else if (i % integer_group < 16)
      code(i) = static_cast<uint8_t>((code(i) & 0xf0) | value);
    else
      code(i) = static_cast<uint8_t>((code(i) & 0x0f) | value << 4);
  }
  // The number that scales multiply, without its zero.
  int value(int64_t i) const {
    int value = code(i);
    if (scheme.bits == 4) value = i % integer_group < 16 ? value & 15 : value >> 4;
    return scheme.table ? iq4_values[static_cast<size_t>(value)] : value - scheme.zero;
  }

  uint8_t* half(int64_t part, int64_t level) const {
    return data + part + (level * 16 + column) * 2;
  }
  uint8_t* small(int64_t part, int64_t group) const { return data + part + group * 16 + column; }

  float scale(int64_t group) const { return level(at.scales, at.scale_codes, group); }
  float min(int64_t group) const { return level(at.mins, at.min_codes, group); }

  IntegerScheme scheme;
  int64_t column;
  ChunkLayout at{};
  uint8_t* data;

 private:
  float level(int64_t halves, int64_t codes, int64_t group) const {
    Float16 bits;
    std::memcpy(&bits, half(halves, scheme.two_levels ? 0 : group), 2);
    if (!scheme.two_levels) return to_float(bits);
    return to_float(bits) * static_cast<float>(static_cast<int8_t>(*small(codes, group)));
  }
};

// One row, rounded as kernels/matmul.h says.
struct RoundedRow {
  RoundedRow(const Tensor& a, int64_t row)
      : value(static_cast<size_t>(a.columns())), scale(value.size() / integer_group) {
    for (int64_t g = 0; g < static_cast<int64_t>(scale.size()); ++g)
      round_group(a, row * a.row_stride() + g * integer_group, g);
  }
  std::vector<int> value;
  std::vector<float> scale;

 private:
  void round_group(const Tensor& a, int64_t at, int64_t group) {
    float largest = 0;
    for (int64_t i = 0; i < integer_group; ++i) {
      const float x = std::abs(load(a, at + i));
      if (!(x <= largest) && !std::isnan(largest)) largest = x;
    }
    int* out = value.data() + group * integer_group;
    scale[static_cast<size_t>(group)] = std::isfinite(largest) ? 0.0f : NAN;
    if (!std::isfinite(largest) || largest < 0x1p-100f) return;
    scale[static_cast<size_t>(group)] = largest / 127.0f;
    const float per_unit = 127.0f / largest;
    for (int64_t i = 0; i < integer_group; ++i)
      out[i] = static_cast<int>(std::nearbyint(load(a, at + i) * per_unit));
  }
};

// Row n of the packed matrix.
struct WeightRow {
  WeightRow(const PackedMatrix& b, int64_t n)
      : group(integer_scheme(b.packing).group), mins(integer_scheme(b.packing).mins) {
    for (int64_t k = 0; k < b.inner; k += integer_chunk) {
      const Chunk chunk(b, n, k);
      const int64_t count = std::min(integer_chunk, b.inner - k);
      for (int64_t i = 0; i < count; ++i) value.push_back(chunk.value(i));
      for (int64_t g = 0; g < count / group; ++g) scale.push_back(chunk.scale(g));
      for (int64_t g = 0; mins && g < count / group; ++g) min.push_back(chunk.min(g));
    }
  }
  int64_t group;
  bool mins;
  std::vector<int> value;
  std::vector<float> scale, min;
};

// The element of the product, starting from `y`.
float dot(const RoundedRow& row, const WeightRow& weight, float y) {
  for (size_t g = 0; g < weight.scale.size(); ++g) {
    const size_t first = g * static_cast<size_t>(weight.group);
    int products = 0, sum = 0;
    for (size_t i = first; i < first + static_cast<size_t>(weight.group); ++i) {
      products += weight.value[i] * row.value[i];
      sum += row.value[i];
    }
    const float scale = row.scale[first / integer_group];
    y = y + weight.scale[g] * (scale * static_cast<float>(products));
    if (weight.mins) y = y - weight.min[g] * (scale * static_cast<float>(sum));
  }
  return y;
}

// The block at inner position `begin` of packed row `row`.
void place_block(const PackedMatrix& packed, int64_t row, int64_t begin, BlockFormat format,
                 const BlockCodes& codes) {
  const BlockScheme from = block_scheme(format);
  const Chunk chunk(packed, row, begin);
  const int64_t first = begin % integer_chunk, elements = block_elements(format);
  const int shift = from.table ? 0 : chunk.scheme.zero - from.zero;
  for (int64_t i = 0; i < elements; ++i)
    chunk.set_code(first + i, codes.code[static_cast<size_t>(i)] + shift);
  const int64_t level = from.two_levels ? 0 : first / integer_group;
  std::memcpy(chunk.half(chunk.at.scales, level), &codes.scale, 2);
  if (from.mins) std::memcpy(chunk.half(chunk.at.mins, level), &codes.min, 2);
  for (int64_t g = 0; from.two_levels && g < elements / from.group; ++g) {
    std::memcpy(chunk.small(chunk.at.scale_codes, g), &codes.scale_code[static_cast<size_t>(g)], 1);
    if (from.mins)
      std::memcpy(chunk.small(chunk.at.min_codes, g), &codes.min_code[static_cast<size_t>(g)], 1);
  }
}

}  // namespace

void pack_integers(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset) {
  const int64_t elements = block_elements(matrix.format), bytes = block_bytes(matrix.format);
  BlockCodes codes{};
  for (int64_t n = 0; n < matrix.rows; ++n)
    for (int64_t k = 0; k < matrix.columns; k += elements) {
      read_block(matrix.format, matrix.row(n) + k / elements * bytes, codes);
      place_block(packed, row_offset + n, k, matrix.format, codes);
    }
}

void matmul_integers(const Tensor& c, const Tensor& a, const PackedMatrix& b, bool accumulate) {
  std::vector<RoundedRow> rows;
  for (int64_t m = 0; m < c.rows(); ++m) rows.emplace_back(a, m);
  for (int64_t n = 0; n < b.rows; ++n) {
    const WeightRow weight(b, n);
    for (int64_t m = 0; m < c.rows(); ++m) {
      const int64_t at = m * c.row_stride() + n;
      store(c, at, dot(rows[static_cast<size_t>(m)], weight, accumulate ? load(c, at) : 0.0f));
    }
  }
}

}  // namespace minke::ref
