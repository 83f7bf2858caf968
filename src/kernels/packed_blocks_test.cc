// Packed matrices made from a model file's blocks: the products and what they depend on.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/blocks.h"
#include "kernels/elementwise.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/packed.h"
#include "kernels/ref/element.h"

namespace minke {
namespace {

constexpr DType f32 = DType::f32, bf16 = DType::bf16;
constexpr BlockFormat integer_formats[] = {
    BlockFormat::q4_0, BlockFormat::q4_1, BlockFormat::q5_0,   BlockFormat::q5_1,
    BlockFormat::q8_0, BlockFormat::q2_k, BlockFormat::q3_k,   BlockFormat::q4_k,
    BlockFormat::q5_k, BlockFormat::q6_k, BlockFormat::iq4_nl, BlockFormat::iq4_xs};
constexpr BlockFormat plain_formats[] = {BlockFormat::f32, BlockFormat::f16, BlockFormat::bf16,
                                         BlockFormat::f8_e4m3};

template <typename Body>
void with_isa(Isa isa, const Body& body) {
  const Isa before = active_isa();
  set_active_isa(isa);
  body();
  set_active_isa(before);
}

template <typename Body>
void each_isa(const Body& body) {
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::reference) continue;
    SCOPED_TRACE(isa_name(isa));
    with_isa(isa, body);
  }
}

Arena& arena() {
  static Arena instance(int64_t{1} << 27);
  return instance;
}

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

// A view of `columns` inside rows that are three elements longer.
Tensor random_matrix(int64_t rows, int64_t columns, DType dtype, uint64_t stream) {
  Tensor t = arena().allocate(dtype, {rows, columns + 3});
  Random random(1, stream);
  for (int64_t i = 0; i < t.size(); ++i) ref::store(t, i, static_cast<float>(random.normal()));
  return t.slice_last(2, columns + 2);
}

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

class PackedBlocksTest : public ::testing::Test {
 protected:
  void SetUp() override { mark_ = arena().mark(); }
  void TearDown() override {
    arena().release(mark_);
    set_thread_count(2);
  }

 private:
  int64_t mark_ = 0;
};

struct Case {
  int64_t m, n, k;
};
const Case cases[] = {{1, 1, 256},  {2, 16, 512},  {3, 17, 256},   {4, 47, 768},   {5, 33, 1024},
                      {6, 5, 256},  {7, 64, 1280}, {8, 31, 256},   {9, 16, 2304},  {13, 80, 256},
                      {16, 3, 512}, {17, 40, 256}, {100, 70, 768}, {1, 300, 2048}, {190, 20, 2560}};

TEST_F(PackedBlocksTest, ProductHasTheBitsOfTheReference) {
  for (const BlockFormat format : integer_formats)
    for (const Case& s : cases) {
      SCOPED_TRACE(fmt::format("{}: {} x {} x {}", block_format_name(format), s.m, s.n, s.k));
      const int64_t mark = arena().mark();
      // Formats of one level need no whole chunk.
      const int64_t k = block_elements(format) == 32 ? s.k - 32 * (s.m % 8) : s.k;
      const RandomWeight w(format, s.n, k);
      const DType type = s.m % 2 ? f32 : bf16;
      const bool accumulate = s.m % 3 == 0;
      const Tensor a = random_matrix(s.m, k, type, 1), want = random_matrix(s.m, s.n, type, 2);
      with_isa(Isa::reference, [&] { matmul(want, a, packed(w.matrix), accumulate); });
      each_isa([&] {
        const Tensor c = random_matrix(s.m, s.n, type, 2);
        matmul(c, a, packed(w.matrix), accumulate);
        expect_same_bits(c, want);
      });
      arena().release(mark);
    }
}

TEST_F(PackedBlocksTest, MappedProductsHaveTheBitsOfPackedOnes) {
  std::vector<BlockFormat> formats(std::begin(integer_formats), std::end(integer_formats));
  formats.insert(formats.end(), std::begin(plain_formats), std::end(plain_formats));
  const auto check = [](BlockFormat format, const Case& s, Packing packing) {
    const int64_t mark = arena().mark();
    const RandomWeight w(format, s.n, s.k, s.m % 2 == 1);
    const Tensor a = random_matrix(s.m, s.k, bf16, 1);
    const PackedMatrix mapped = map_stored(w.matrix, packing);
    const auto compare = [&] {
      const Tensor want = random_matrix(s.m, s.n, f32, 2), c = random_matrix(s.m, s.n, f32, 2);
      matmul(want, a, packed(w.matrix, packing), s.m % 3 == 0);
      matmul(c, a, mapped, s.m % 3 == 0);
      expect_same_bits(c, want);
    };
    each_isa(compare);
    with_isa(Isa::reference, compare);
    arena().release(mark);
  };
  for (const BlockFormat format : formats)
    for (const Case& s : {Case{1, 300, 256}, Case{3, 17, 512}, Case{40, 33, 256}}) {
      SCOPED_TRACE(fmt::format("{}: {} x {} x {}", block_format_name(format), s.m, s.n, s.k));
      check(format, s, packing_of(format, bf16));
      check(format, s, Packing::f32);
    }
  check(BlockFormat::bf16, {2, 19, 37}, Packing::bf16);
}

TEST_F(PackedBlocksTest, SwigluHasTheBitsOfItsTwoSteps) {
  constexpr int64_t width = 272, k = 512;
  for (const BlockFormat format : {BlockFormat::q4_0, BlockFormat::q6_k})
    for (const int64_t m : {1, 5, 70}) {
      const RandomWeight w(format, 2 * width, k);
      const Tensor a = random_matrix(m, k, bf16, 1);
      const std::vector<PackedMatrix> b = {packed(w.matrix)};
      const int64_t offsets[] = {0, m};
      each_isa([&] {
        const Tensor gate_up = random_matrix(m, 2 * width, bf16, 2),
                     h = random_matrix(m, width, bf16, 3);
        const Tensor want = random_matrix(m, 2 * width, bf16, 4),
                     want_h = random_matrix(m, width, bf16, 5);
        matmul(want, a, b[0]);
        silu_mul_forward(want_h, want);
        matmul_swiglu(gate_up, h, a, b, offsets);
        expect_same_bits(gate_up, want);
        expect_same_bits(h, want_h);
      });
    }
}

// Few rows are multiplied with the stored blocks themselves, more with panels packed from them.
TEST_F(PackedBlocksTest, MappedIntegersHaveTheBitsOfTheReferenceForEveryNumberOfRows) {
  for (const BlockFormat format : integer_formats)
    for (int64_t m = 1; m <= 18; ++m) {
      constexpr int64_t columns[] = {1, 7, 16, 24, 33, 47, 64, 150};
      const int64_t n = columns[m % 8];
      const int64_t k = block_elements(format) == 32 ? 32 * (1 + m % 11) : 256 * (1 + m % 3);
      SCOPED_TRACE(fmt::format("{}: {} x {} x {}", block_format_name(format), m, n, k));
      const int64_t mark = arena().mark();
      const RandomWeight w(format, n, k, m % 2 == 1);
      const DType type = m % 3 ? f32 : bf16;
      const bool accumulate = m % 4 < 2;
      const Tensor a = random_matrix(m, k, bf16, 1), want = random_matrix(m, n, type, 2);
      with_isa(Isa::reference, [&] { matmul(want, a, packed(w.matrix), accumulate); });
      const PackedMatrix mapped = map_stored(w.matrix, packing_of(format, bf16));
      each_isa([&] {
        const Tensor c = random_matrix(m, n, type, 2);
        matmul(c, a, mapped, accumulate);
        expect_same_bits(c, want);
      });
      arena().release(mark);
    }
}

// Enough work for several tasks on several threads, groups of few and of many rows among them.
TEST_F(PackedBlocksTest, MappedGroupsHaveTheBitsOfPackedOnesForEveryNumberOfThreads) {
  constexpr int64_t m = 40, n = 1100, k = 768;
  const int64_t offsets[] = {0, 1, 1, 4, 21, 29, m};
  for (const BlockFormat format : {BlockFormat::q4_0, BlockFormat::q6_k, BlockFormat::q8_0}) {
    SCOPED_TRACE(block_format_name(format));
    const int64_t mark = arena().mark();
    const RandomWeight w(format, n, k);
    const Tensor a = random_matrix(m, k, bf16, 1);
    const std::vector<PackedMatrix> packed_groups(6, packed(w.matrix));
    const std::vector<PackedMatrix> groups(6, map_stored(w.matrix, packing_of(format, bf16)));
    each_isa([&] {
      const Tensor want = random_matrix(m, n, f32, 2), c = random_matrix(m, n, f32, 3);
      matmul_grouped(want, a, packed_groups, offsets);
      for (const int threads : {1, 2, 3, 7}) {
        set_thread_count(threads);
        matmul_grouped(c, a, groups, offsets);
        expect_same_bits(c, want);
        // Few rows in all make longer tasks.
        const int64_t few[] = {0, 1, 1, 4, 4, 4, 4};
        std::memset(c.data, 0, static_cast<size_t>(4 * c.row_stride()) * 4);
        matmul_grouped(c.slice_rows(0, 4), a.slice_rows(0, 4), groups, few);
        expect_same_bits(c, want);
      }
    });
    arena().release(mark);
  }
}

// A row whose activations are not finite is NaN there too, and the largest codes and values fit.
TEST_F(PackedBlocksTest, MappedIntegersTakeExtremes) {
  for (const BlockFormat format : integer_formats)
    for (const int byte : {0x00, 0x7f, 0x80, 0xff}) {
      SCOPED_TRACE(fmt::format("{} of bytes {:#x}", block_format_name(format), byte));
      const int64_t mark = arena().mark();
      const RandomWeight w(format, 20, 256, false, byte);
      const Tensor a = random_matrix(3, 256, f32, 1), want = random_matrix(3, 20, f32, 2);
      for (int64_t i = 0; i < 256; ++i) a.row<float>(0)[i] = i % 2 ? 1.0f : -1.0f;
      for (int64_t i = 0; i < 256; ++i) a.row<float>(1)[i] = -1.0f;
      a.row<float>(2)[40] = INFINITY;
      with_isa(Isa::reference, [&] { matmul(want, a, packed(w.matrix)); });
      EXPECT_TRUE(std::isnan(want.row<float>(2)[0]));
      each_isa([&] {
        const Tensor c = random_matrix(3, 20, f32, 2);
        matmul(c, a, map_stored(w.matrix, packing_of(format, bf16)));
        expect_same_bits(c, want);
      });
      arena().release(mark);
    }
}

// Rounding the activations is all that an integer packing changes.
TEST_F(PackedBlocksTest, IntegerProductIsCloseToThatOfNumbers) {
  for (const BlockFormat format : integer_formats) {
    SCOPED_TRACE(block_format_name(format));
    const int64_t mark = arena().mark();
    const RandomWeight w(format, 48, 1024);
    const Tensor a = random_matrix(5, 1024, f32, 1);
    const Tensor got = random_matrix(5, 48, f32, 2), want = random_matrix(5, 48, f32, 3);
    matmul(got, a, packed(w.matrix));
    with_isa(Isa::reference, [&] { matmul(want, a, packed(w.matrix, Packing::f32)); });
    double error = 0, squares = 0;
    for (int64_t r = 0; r < 5; ++r)
      for (int64_t c = 0; c < 48; ++c) {
        const float x = want.row<float>(r)[c];
        error += std::pow(got.row<float>(r)[c] - x, 2.0);
        squares += static_cast<double>(x) * x;
      }
    EXPECT_LT(std::sqrt(error / squares), 0.01);
    EXPECT_GT(error, 0);
    arena().release(mark);
  }
}

TEST_F(PackedBlocksTest, PackingIsTheReference) {
  const auto check = [](BlockFormat format, Packing packing) {
    SCOPED_TRACE(fmt::format("{} as {}", block_format_name(format), packing_name(packing)));
    const int64_t columns = is_integer(packing) ? 512 : block_elements(format) > 1 ? 256 : 150;
    const RandomWeight one(format, 37, columns), two(format, 150, columns, false);
    for (const int64_t first : {48, 37}) {
      const int64_t mark = arena().mark();
      const auto fill = [&] {
        const PackedMatrix b = allocate_packed(arena(), packing, first + 150, columns);
        std::memset(b.storage.data, 0, static_cast<size_t>(b.storage.bytes()));
        pack_stored(b, one.matrix);
        pack_stored(b, two.matrix, first);
        return b;
      };
      PackedMatrix want;
      with_isa(Isa::reference, [&] { want = fill(); });
      each_isa([&] {
        const PackedMatrix got = fill();
        ASSERT_EQ(std::memcmp(got.storage.data, want.storage.data,
                              static_cast<size_t>(got.storage.bytes())),
                  0);
      });
      arena().release(mark);
    }
  };
  for (const BlockFormat format : integer_formats) {
    check(format, packing_of(format, bf16));
    check(format, Packing::f32);
    check(format, Packing::bf16);
  }
  for (const BlockFormat format : plain_formats) {
    check(format, Packing::f32);
    check(format, Packing::bf16);
  }
}

TEST_F(PackedBlocksTest, EveryNumberOfFp8IsThatOfTheReference) {
  std::vector<std::byte> codes;
  for (int i = 0; i < 256; ++i) codes.push_back(static_cast<std::byte>(i));
  for (const float scale : {1.0f, 0.37f, -3e-40f, 1e37f}) {
    const std::vector<float> scales(2, scale);
    const StoredMatrix m = {BlockFormat::f8_e4m3,
                            1,
                            256,
                            codes.data(),
                            reinterpret_cast<const std::byte*>(scales.data()),
                            nullptr};
    const int64_t mark = arena().mark();
    each_isa([&] {
      const PackedMatrix b = packed(m, Packing::f32);
      for (int64_t i = 0; i < 256; ++i) {
        const float want = to_float(Float8E4M3{static_cast<uint8_t>(i)}) * scale;
        const float got = b.storage.as<float>()[packed_index(b, 0, i)];
        ASSERT_EQ(std::isnan(got), std::isnan(want)) << i;
        if (std::isnan(want)) continue;
        ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(want)) << i;
      }
    });
    arena().release(mark);
  }
}

TEST_F(PackedBlocksTest, BitsDependOnTheRowAlone) {
  constexpr int64_t m = 61, n = 144, k = 1280;
  for (const BlockFormat format : integer_formats) {
    SCOPED_TRACE(block_format_name(format));
    const int64_t mark = arena().mark();
    const RandomWeight w(format, n, k);
    const Tensor a = random_matrix(m, k, bf16, 1);
    each_isa([&] {
      const PackedMatrix b = packed(w.matrix);
      const Tensor whole = random_matrix(m, n, f32, 3), other = random_matrix(m, n, f32, 4);
      set_thread_count(1);
      matmul(whole, a, b);
      for (const int threads : {2, 3}) {
        set_thread_count(threads);
        matmul(other, a, b);
        expect_same_bits(other, whole);
      }
      for (int64_t rows = 1, i = 0; i < m; i += rows, rows = std::min(rows + 1, m - i))
        matmul(other.slice_rows(i, i + rows), a.slice_rows(i, i + rows), b);
      expect_same_bits(other, whole);
      const std::vector<PackedMatrix> groups(6, b);
      const int64_t offsets[] = {0, 0, 20, 20, 21, m, m};
      const Tensor grouped = random_matrix(m, n, f32, 6);
      matmul_grouped(grouped, a, groups, offsets);
      expect_same_bits(grouped, whole);
    });
    arena().release(mark);
  }
}

// Random sizes, groups and threads on every instruction set. The matrix is made of two weights, the
// second of which begins inside a panel.
TEST_F(PackedBlocksTest, RandomGroupedProductsHaveTheBitsOfTheReference) {
  Random random(1, 7);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random.below(static_cast<uint64_t>(limit)));
  };
  for (int trial = 0; trial < 60; ++trial) {
    const BlockFormat format = integer_formats[below(std::size(integer_formats))];
    const int64_t k = block_elements(format) * (1 + below(block_elements(format) == 32 ? 40 : 5));
    const int64_t first = 1 + below(40), second = 1 + below(40);
    const RandomWeight top(format, first, k), bottom(format, second, k, false);
    std::vector<int64_t> offsets = {below(3)};
    for (int g = 0; g < 3; ++g) offsets.push_back(offsets.back() + below(4) * below(7));
    const int64_t m = offsets.back() + below(2);
    SCOPED_TRACE(fmt::format("trial {}: {} [{} + {}, {}] and {} rows", trial,
                             block_format_name(format), first, second, k, m));
    const int64_t mark = arena().mark();
    const Tensor a = random_matrix(m, k, trial % 2 ? f32 : bf16, 1);
    const auto product = [&] {
      const PackedMatrix b = allocate_packed(arena(), packing_of(format, bf16), first + second, k);
      pack_stored(b, bottom.matrix, first);
      pack_stored(b, top.matrix);
      const std::vector<PackedMatrix> groups(3, b);
      const Tensor c = random_matrix(m, first + second, trial % 3 ? f32 : bf16, 2);
      matmul_grouped(c, a, groups, offsets, trial % 5 == 0);
      return c;
    };
    Tensor want;
    with_isa(Isa::reference, [&] { want = product(); });
    each_isa([&] {
      set_thread_count(1 + trial % 3);
      expect_same_bits(product(), want);
    });
    arena().release(mark);
  }
}

TEST_F(PackedBlocksTest, BatchedProductsAreTheSingleOnes) {
  for (const DType type : {f32, bf16}) {
    std::vector<Tensor> a, c, want;
    std::vector<PackedMatrix> b;
    for (int i = 0; i < 7; ++i) {
      a.push_back(random_matrix(i, 100, type, i));
      c.push_back(random_matrix(i, 33, type, i + 10));
      want.push_back(random_matrix(i, 33, type, i + 10));
      pack(b.emplace_back(allocate_packed(arena(), type, 33, 100)),
           random_matrix(33, 100, f32, i + 20));
    }
    each_isa([&] {
      for (const bool accumulate : {false, true}) {
        matmul_batched(c, a, b, accumulate);
        for (size_t i = 0; i < b.size(); ++i) {
          matmul(want[i], a[i], b[i], accumulate);
          expect_same_bits(c[i], want[i]);
        }
      }
    });
  }
}

TEST_F(PackedBlocksTest, ActivationsThatAreNotFiniteMakeTheirRowNaN) {
  const RandomWeight w(BlockFormat::q4_0, 20, 256);
  const Tensor a = random_matrix(4, 256, f32, 1), c = random_matrix(4, 20, f32, 2);
  a.row<float>(0)[7] = NAN;
  a.row<float>(1)[200] = -INFINITY;
  for (int64_t i = 0; i < 256; ++i) a.row<float>(2)[i] = i % 2 ? 1e-38f : 0.0f;
  each_isa([&] {
    matmul(c, a, packed(w.matrix));
    for (int64_t i = 0; i < 20; ++i) {
      EXPECT_TRUE(std::isnan(c.row<float>(0)[i]));
      EXPECT_TRUE(std::isnan(c.row<float>(1)[i]));
      EXPECT_EQ(c.row<float>(2)[i], 0);
      EXPECT_TRUE(std::isfinite(c.row<float>(3)[i]));
    }
  });
}

TEST_F(PackedBlocksTest, WrongPackingsAreErrors) {
  const RandomWeight w(BlockFormat::q4_0, 16, 256);
  EXPECT_THROW(packed(w.matrix, Packing::q8), Error);
  EXPECT_THROW(allocate_packed(arena(), Packing::k4_min, 16, 32), Error);
  EXPECT_THROW(allocate_packed(arena(), Packing::q4, 16, 33), Error);
  const PackedMatrix b = allocate_packed(arena(), Packing::q4, 16, 256);
  EXPECT_THROW(pack_stored(b, w.matrix, 1), Error);
  EXPECT_THROW(pack(b, random_matrix(16, 256, f32, 1)), Error);
}

}  // namespace
}  // namespace minke
