#pragma once
// Weights of a model file's blocks, products of them on every instruction set: for the tests of
// packed and of mapped matrices.

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/blocks.h"
#include "kernels/packed.h"
#include "kernels/product_fixture.h"

namespace minke {
namespace {

constexpr BlockFormat integer_formats[] = {
    BlockFormat::q4_0, BlockFormat::q4_1, BlockFormat::q5_0,   BlockFormat::q5_1,
    BlockFormat::q8_0, BlockFormat::q2_k, BlockFormat::q3_k,   BlockFormat::q4_k,
    BlockFormat::q5_k, BlockFormat::q6_k, BlockFormat::iq4_nl, BlockFormat::iq4_xs};
constexpr BlockFormat plain_formats[] = {BlockFormat::f32, BlockFormat::f16, BlockFormat::bf16,
                                         BlockFormat::f8_e4m3};

// Where a block of integers has its f16 scales.
std::vector<int> scale_positions(BlockFormat format) {
  switch (format) {
    case BlockFormat::q4_1:
    case BlockFormat::q5_1:
    case BlockFormat::q4_k:
    case BlockFormat::q5_k:
      return {0, 2};
    case BlockFormat::q2_k:
      return {80, 82};
    case BlockFormat::q3_k:
      return {108};
    case BlockFormat::q6_k:
      return {208};
    default:
      return {0};
  }
}

// A weight of random bytes (or of `byte` alone) with sane scales, one byte off any alignment, its
// rows reversed.
class RandomWeight {
 public:
  RandomWeight(BlockFormat format, int64_t rows, int64_t columns, bool reversed = true,
               int byte = -1) {
    Random random(1, static_cast<uint64_t>(format) * 1000 + rows);
    const int64_t bytes = rows * block_format_bytes(format, columns);
    bytes_.resize(bytes + 1);
    for (std::byte& b : bytes_) b = static_cast<std::byte>(byte < 0 ? random.below(256) : byte);
    std::byte* at = bytes_.data() + 1;
    if (block_elements(format) > 1)
      for (; at + block_bytes(format) <= bytes_.data() + bytes_.size(); at += block_bytes(format))
        for (const int position : scale_positions(format))
          put_half(at + position, static_cast<float>(random.normal()) * 0.02f);
    else
      for (int64_t i = 0; i < rows * columns; ++i)
        put_number(format, i, static_cast<float>(random.normal()));
    for (int64_t i = 0; i < 4 * (rows / 128 + 1) * (columns / 128 + 1); ++i)
      scales_.push_back(std::byte{static_cast<uint8_t>(i % 4 == 3 ? 0x3e : 0x10 + i % 64)});
    for (int64_t r = 0; r < rows; ++r) order_.push_back(static_cast<int32_t>(rows - 1 - r));
    matrix = {format,         rows,
              columns,        bytes_.data() + 1,
              scales_.data(), reversed ? order_.data() : nullptr};
  }

  StoredMatrix matrix;

 private:
  static void put_half(std::byte* at, float x) {
    const Float16 half = to_float16(x);
    std::memcpy(at, &half, 2);
  }
  void put_number(BlockFormat format, int64_t i, float x) {
    std::byte* at = bytes_.data() + 1 + i * block_bytes(format);
    if (format == BlockFormat::f8_e4m3)
      *at = std::byte{to_float8_e4m3(x).bits};
    else
      quantize_row(format, &x, 1, at);
  }

  std::vector<std::byte> bytes_, scales_;
  std::vector<int32_t> order_;
};

void expect_same_bits(const Tensor& a, const Tensor& b) {
  for (int64_t r = 0; r < a.rows(); ++r)
    for (int64_t c = 0; c < a.columns(); ++c) {
      const float x = ref::load(a, r * a.row_stride() + c),
                  y = ref::load(b, r * b.row_stride() + c);
      if (std::isnan(x) && std::isnan(y)) continue;
      ASSERT_EQ(std::bit_cast<uint32_t>(x), std::bit_cast<uint32_t>(y)) << r << ", " << c;
    }
}

PackedMatrix packed(const StoredMatrix& m, Packing packing) {
  const PackedMatrix b = allocate_packed(arena(), packing, m.rows, m.columns);
  pack_stored(b, m);
  return b;
}

PackedMatrix packed(const StoredMatrix& m) { return packed(m, packing_of(m.format, bf16)); }

using PackedBlocksTest = ProductTest;

}  // namespace
}  // namespace minke
