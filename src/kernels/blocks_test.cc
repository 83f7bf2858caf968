#include "kernels/blocks.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/random.h"
#include "tensor/dtype.h"

namespace minke {
namespace {

constexpr BlockFormat blocks_of_integers[] = {
    BlockFormat::q4_0, BlockFormat::q4_1, BlockFormat::q5_0,   BlockFormat::q5_1,
    BlockFormat::q8_0, BlockFormat::q2_k, BlockFormat::q3_k,   BlockFormat::q4_k,
    BlockFormat::q5_k, BlockFormat::q6_k, BlockFormat::iq4_nl, BlockFormat::iq4_xs};

// What tools/make_block_golden.py wrote: blocks and elements, in either order.
struct Golden {
  Golden(BlockFormat format, const std::string& kind) {
    const std::string name(block_format_name(format));
    const std::string file =
        read_file(std::string(MINKE_SOURCE_DIR) + "/tests/golden/blocks/" + name + "." + kind);
    std::array<int32_t, 2> counts;
    std::memcpy(counts.data(), file.data(), 8);
    blocks.resize(counts[0] * block_bytes(format));
    elements.resize(counts[1]);
    const size_t total = 8 + blocks.size() + elements.size() * 4;
    EXPECT_EQ(file.size(), total) << name;
    const char* at = file.data() + 8;
    if (kind == "write") at += elements.size() * 4;
    std::memcpy(blocks.data(), at, blocks.size());
    at = kind == "write" ? file.data() + 8 : at + blocks.size();
    std::memcpy(elements.data(), at, elements.size() * 4);
  }
  std::vector<std::byte> blocks;
  std::vector<float> elements;
};

uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }

void expect_reads_golden(BlockFormat format) {
  SCOPED_TRACE(block_format_name(format));
  const Golden golden(format, "read");
  const int64_t count = static_cast<int64_t>(golden.elements.size());
  const StoredMatrix m{format, 1, count, golden.blocks.data()};
  std::vector<float> got(count);
  dequantize_rows(m, 0, 1, got.data());
  for (int64_t i = 0; i < count; ++i) {
    if (std::isnan(golden.elements[i]))
      ASSERT_TRUE(std::isnan(got[i])) << i;
    else
      ASSERT_EQ(bits(got[i]), bits(golden.elements[i])) << i << ": " << golden.elements[i];
  }
}

TEST(BlocksTest, DequantizesAsGgufDoes) {
  for (const BlockFormat format : blocks_of_integers) expect_reads_golden(format);
  expect_reads_golden(BlockFormat::f16);
  expect_reads_golden(BlockFormat::bf16);
}

TEST(BlocksTest, QuantizesAsGgufDoes) {
  for (const BlockFormat format :
       {BlockFormat::f16, BlockFormat::bf16, BlockFormat::q4_0, BlockFormat::q4_1,
        BlockFormat::q5_0, BlockFormat::q5_1, BlockFormat::q8_0}) {
    SCOPED_TRACE(block_format_name(format));
    const Golden golden(format, "write");
    std::vector<std::byte> got(golden.blocks.size());
    quantize_row(format, golden.elements.data(), static_cast<int64_t>(golden.elements.size()),
                 got.data());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], golden.blocks[i]) << "byte " << i;
  }
}

std::vector<float> normal_row(int64_t count, uint64_t stream) {
  std::vector<float> row(count);
  Random random(1, stream);
  for (float& x : row) x = static_cast<float>(random.normal());
  return row;
}

double relative_error(BlockFormat format, const std::vector<float>& row) {
  const int64_t count = static_cast<int64_t>(row.size());
  std::vector<std::byte> blocks(block_format_bytes(format, count));
  quantize_row(format, row.data(), count, blocks.data());
  std::vector<float> back(row.size());
  dequantize_rows({format, 1, count, blocks.data()}, 0, 1, back.data());
  double error = 0, squares = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    error += std::pow(back[i] - row[i], 2.0);
    squares += std::pow(row[i], 2.0);
  }
  return squares > 0 ? std::sqrt(error / squares) : std::sqrt(error);
}

// Root mean square errors of normal numbers; what 2^-bits steps over ±4 deviations allow.
TEST(BlocksTest, KFormatsAreCloseToTheirRow) {
  const std::vector<float> row = normal_row(1 << 14, 2);
  EXPECT_LT(relative_error(BlockFormat::q4_k, row), 0.075);
  EXPECT_LT(relative_error(BlockFormat::q5_k, row), 0.038);
  EXPECT_LT(relative_error(BlockFormat::q6_k, row), 0.019);
  EXPECT_LT(relative_error(BlockFormat::q4_k, row), relative_error(BlockFormat::q4_0, row));
  EXPECT_LT(relative_error(BlockFormat::q5_k, row), relative_error(BlockFormat::q5_0, row));
}

TEST(BlocksTest, KFormatsKeepConstantAndTinyRows) {
  for (const BlockFormat format : {BlockFormat::q4_k, BlockFormat::q5_k, BlockFormat::q6_k}) {
    SCOPED_TRACE(block_format_name(format));
    EXPECT_EQ(relative_error(format, std::vector<float>(256, 0.0f)), 0);
    EXPECT_LT(relative_error(format, std::vector<float>(256, 3.0f)), 0.02);
    EXPECT_LT(relative_error(format, std::vector<float>(256, -3.0f)), 0.02);
    EXPECT_LT(relative_error(format, std::vector<float>(256, 1e-9f)), 1.0001);  // becomes zero
  }
}

TEST(BlocksTest, FormatsThatCannotBeWrittenAreErrors) {
  const std::vector<float> row(256);
  std::vector<std::byte> out(1024);
  for (const BlockFormat format : {BlockFormat::q2_k, BlockFormat::q3_k, BlockFormat::iq4_nl,
                                   BlockFormat::iq4_xs, BlockFormat::f8_e4m3}) {
    EXPECT_FALSE(can_quantize_row(format));
    EXPECT_THROW(quantize_row(format, row.data(), 256, out.data()), Error);
  }
  EXPECT_THROW(quantize_row(BlockFormat::q4_k, row.data(), 32, out.data()), Error);
}

TEST(BlocksTest, F8KeepsEachBlockWithItsScale) {
  constexpr int64_t rows = 200, columns = 150;  // edge blocks in both directions
  const std::vector<float> in = normal_row(rows * columns, 3);
  std::vector<std::byte> out(rows * columns);
  std::vector<float> scales(4);
  quantize_f8_rows(in.data(), 128, columns, out.data(), scales.data());
  quantize_f8_rows(in.data() + 128 * columns, rows - 128, columns, out.data() + 128 * columns,
                   scales.data() + 2);
  StoredMatrix m{BlockFormat::f8_e4m3, rows, columns, out.data(),
                 reinterpret_cast<const std::byte*>(scales.data())};
  std::vector<float> back(rows * columns);
  dequantize_rows(m, 0, rows, back.data());
  for (int64_t i = 0; i < rows * columns; ++i)
    ASSERT_NEAR(back[i], in[i], std::abs(in[i]) / 16 + 4e-5) << i;

  std::vector<int32_t> order(rows);
  for (int32_t r = 0; r < rows; ++r) order[r] = static_cast<int32_t>(rows) - 1 - r;
  m.row_order = order.data();
  std::vector<float> reversed(columns);
  dequantize_rows(m, 3, 4, reversed.data());
  for (int64_t c = 0; c < columns; ++c) EXPECT_EQ(reversed[c], back[(rows - 4) * columns + c]);
}

TEST(BlocksTest, SmallFloatsComeBackExactly) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const float x = to_float(Float16{static_cast<uint16_t>(i)});
    if (std::isnan(x)) continue;
    ASSERT_EQ(to_float16(x).bits, i);
  }
  for (uint32_t i = 0; i < 256; ++i) {
    const float x = to_float(Float8E4M3{static_cast<uint8_t>(i)});
    if (std::isnan(x)) continue;
    ASSERT_EQ(to_float8_e4m3(x).bits, i);
  }
  EXPECT_EQ(to_float(Float8E4M3{0x7e}), 448);
  EXPECT_EQ(to_float(Float8E4M3{0x01}), 0x1p-9f);
  EXPECT_EQ(to_float8_e4m3(1e9f).bits, 0x7e);
  EXPECT_EQ(to_float8_e4m3(-INFINITY).bits, 0xfe);
  EXPECT_EQ(to_float8_e4m3(1.0625f).bits, to_float8_e4m3(1.0f).bits);  // ties to even
  EXPECT_EQ(to_float8_e4m3(1.1875f).bits, to_float8_e4m3(1.25f).bits);
  EXPECT_TRUE(std::isnan(to_float(to_float8_e4m3(NAN))));
  EXPECT_TRUE(std::isnan(to_float(to_float16(NAN))));
  EXPECT_EQ(to_float16(65519.0f).bits, 0x7bff);
  EXPECT_EQ(to_float16(65520.0f).bits, 0x7c00);
}

}  // namespace
}  // namespace minke
