// Products with matrices that stay in a model file.

#include "kernels/packed_blocks_fixture.h"

namespace minke {
namespace {

using MappedBlocksTest = ProductTest;

TEST_F(MappedBlocksTest, MappedProductsHaveTheBitsOfPackedOnes) {
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

// Few rows are multiplied with the stored blocks themselves, more with panels packed from them.
TEST_F(MappedBlocksTest, MappedIntegersHaveTheBitsOfTheReferenceForEveryNumberOfRows) {
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
TEST_F(MappedBlocksTest, MappedGroupsHaveTheBitsOfPackedOnesForEveryNumberOfThreads) {
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
TEST_F(MappedBlocksTest, MappedIntegersTakeExtremes) {
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

}  // namespace
}  // namespace minke
