// Packed matrices made from a model file's blocks: the products and what they depend on.

#include "kernels/elementwise.h"
#include "kernels/packed_blocks_fixture.h"

namespace minke {
namespace {

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
  std::vector<std::byte> codes(256);
  for (size_t i = 0; i < 256; ++i) codes[i] = static_cast<std::byte>(i);
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
