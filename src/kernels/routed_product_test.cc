// Products whose rows an index names: they have the bits of copies, for every number of threads.
#include <gtest/gtest.h>

#include <vector>

#include "kernels/elementwise.h"
#include "kernels/experts.h"
#include "kernels/packed_blocks_fixture.h"

namespace minke {
namespace {

constexpr int threads_tried[] = {1, 2, 3, 7};

// T tokens that go to K of E experts, the first of them with few rows and the last with none.
struct Routed {
  Routed(int64_t tokens, int64_t top_k, int64_t experts)
      : route(allocate_route(arena(), tokens, top_k, experts)) {
    const Tensor indices = arena().allocate(DType::i32, {tokens, top_k});
    const Tensor weights = arena().allocate(f32, {tokens, top_k});
    Random random(5);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t k = 0; k < top_k; ++k) {
        const int64_t expert = t == 0 ? k : 1 + (t + k * (1 + t % 2)) % (experts - 2);
        indices.row<int32_t>(t)[k] = static_cast<int32_t>(expert);
        weights.row<float>(t)[k] = static_cast<float>(random.uniform());
      }
    route_tokens(route, indices, weights);
  }

  IndexedRows rows(const Tensor& of_tokens) const { return {of_tokens, route.token_of_row}; }
  Tensor copied(const Tensor& of_tokens) const {
    const Tensor rows =
        random_matrix(route.token_of_row.size(), of_tokens.columns(), of_tokens.dtype, 0);
    for (int64_t r = 0; r < rows.rows(); ++r) {
      const int32_t token = route.token_of_row.as<int32_t>()[r];
      convert(rows.slice_rows(r, r + 1), of_tokens.slice_rows(token, token + 1));
    }
    return rows;
  }
  // c's rows += the groups' products, one group after the other.
  void add(const Tensor& c, const Tensor& a, std::span<const PackedMatrix> b) const {
    for (size_t g = 0; g < b.size(); ++g) {
      const int64_t begin = route.offsets[g], end = route.offsets[g + 1];
      if (begin == end) continue;
      const Tensor product = random_matrix(end - begin, c.columns(), f32, 0);
      matmul(product, a.slice_rows(begin, end), b[g]);
      for (int64_t r = begin; r < end; ++r)
        for (int64_t n = 0; n < c.columns(); ++n)
          c.row<float>(route.token_of_row.as<int32_t>()[r])[n] += product.row<float>(r - begin)[n];
    }
  }

  ExpertRoute route;
};

class RoutedProductTest : public ProductTest {
 protected:
  // Experts' products with matrices of `make(number, rows, columns)`.
  template <typename Make>
  void check(DType type, int64_t tokens, int64_t hidden, int64_t width, const Make& make) {
    const int64_t experts = 5, top_k = 2, mark = arena().mark();
    const Routed routed(tokens, top_k, experts);
    const auto& offsets = routed.route.offsets;
    const Tensor x = random_matrix(tokens, hidden, type, 1), copy = routed.copied(x);
    std::vector<PackedMatrix> up, down;
    for (int64_t e = 0; e < experts; ++e) {
      up.push_back(make(2 * e, 2 * width, hidden));
      down.push_back(make(2 * e + 1, hidden, width));
    }
    each_isa([&] {
      const int64_t rows = copy.rows();
      const Tensor want_up = random_matrix(rows, 2 * width, type, 2),
                   got_up = random_matrix(rows, 2 * width, type, 3);
      const Tensor want_h = random_matrix(rows, width, type, 4),
                   got_h = random_matrix(rows, width, type, 5);
      const Tensor want = random_matrix(tokens, hidden, f32, 6);
      matmul_grouped(want_up, copy, up, offsets);
      silu_mul_forward(want_h, want_up, routed.route.weight_of_row);
      routed.add(want, want_h, down);
      for (const int threads : threads_tried) {
        set_thread_count(threads);
        matmul_grouped(got_up, routed.rows(x), up, offsets);
        expect_same_bits(got_up, want_up);
        matmul_swiglu(got_up, got_h, routed.rows(x), up, offsets, routed.route.weight_of_row);
        expect_same_bits(got_up, want_up);
        expect_same_bits(got_h, want_h);
        const Tensor got = random_matrix(tokens, hidden, f32, 6);
        matmul_scatter(got, routed.route.token_of_row, want_h, down, offsets);
        expect_same_bits(got, want);
      }
    });
    arena().release(mark);
  }
};

TEST_F(RoutedProductTest, NumbersAreThoseOfCopies) {
  for (const DType type : {f32, bf16})
    for (const int64_t tokens : {1, 9, 640})
      for (const int64_t hidden : {40, 160})
        check(type, tokens, hidden, 48, [&](uint64_t number, int64_t rows, int64_t columns) {
          const PackedMatrix b = allocate_packed(arena(), type, rows, columns);
          pack(b, random_matrix(rows, columns, f32, 100 + number));
          return b;
        });
}

// The last case has rows for several ranges of tokens.
TEST_F(RoutedProductTest, BlocksAreThoseOfCopies) {
  struct BlockCase {
    BlockFormat format;
    int64_t tokens, hidden, width;
  };
  for (const BlockCase& s : {BlockCase{BlockFormat::q4_0, 1, 256, 512},
                             {BlockFormat::q6_k, 1, 256, 512},
                             {BlockFormat::q6_k, 30, 256, 512},
                             {BlockFormat::f16, 30, 256, 512},
                             {BlockFormat::q4_0, 1600, 96, 64}})
    for (const bool mapped : {false, true}) {
      const RandomWeight up(s.format, 2 * s.width, s.hidden, false),
          down(s.format, s.hidden, s.width);
      check(bf16, s.tokens, s.hidden, s.width, [&](int64_t number, int64_t, int64_t) {
        const StoredMatrix& matrix = number % 2 ? down.matrix : up.matrix;
        return mapped ? map_stored(matrix, packing_of(s.format, bf16)) : packed(matrix);
      });
    }
}

TEST_F(RoutedProductTest, ScatterIsTheReference) {
  const Routed routed(20, 2, 5);
  const RandomWeight w(BlockFormat::q4_k, 40, 512);
  const std::vector<PackedMatrix> b(5, packed(w.matrix));
  const Tensor a = random_matrix(40, 512, f32, 1), want = random_matrix(20, 40, f32, 2);
  with_isa(Isa::reference,
           [&] { matmul_scatter(want, routed.route.token_of_row, a, b, routed.route.offsets); });
  each_isa([&] {
    const Tensor got = random_matrix(20, 40, f32, 2);
    matmul_scatter(got, routed.route.token_of_row, a, b, routed.route.offsets);
    expect_same_bits(got, want);
  });
}

TEST_F(RoutedProductTest, GradientsAreThoseOfCopies) {
  for (const DType type : {f32, bf16}) {
    const int64_t tokens = 700, out = 70, in = 33;
    const Routed routed(tokens, 2, 5);
    const Tensor dy = random_matrix(tokens, out, type, 1), x = random_matrix(tokens, in, type, 2);
    const Tensor dy_rows = routed.copied(dy), x_rows = routed.copied(x);
    const auto gradients = [&](const IndexedRows& left, const IndexedRows& right) {
      std::vector<Tensor> dw;
      for (int g = 0; g < 5; ++g) dw.push_back(random_matrix(out, in, f32, 3));
      matmul_weight_gradient_grouped(dw, left, right, routed.route.offsets, true);
      return dw;
    };
    for (const Isa isa : supported_isas())
      with_isa(isa, [&] {
        const std::vector<Tensor> want = gradients(dy_rows, x_rows);
        for (const auto& [left, right] :
             {std::pair<IndexedRows, IndexedRows>{routed.rows(dy), x_rows},
              {dy_rows, routed.rows(x)},
              {routed.rows(dy), routed.rows(x)}}) {
          const std::vector<Tensor> got = gradients(left, right);
          for (int g = 0; g < 5; ++g) expect_same_bits(got[g], want[g]);
        }
      });
  }
}

TEST_F(RoutedProductTest, AnIndexThatCannotBeIsAnError) {
  const PackedMatrix b = allocate_packed(arena(), f32, 16, 8);
  pack(b, random_matrix(16, 8, f32, 1));
  const Tensor a = random_matrix(3, 8, f32, 2), c = random_matrix(3, 16, f32, 3);
  const int64_t offsets[] = {0, 3};
  int32_t rows[] = {0, 2, 3};
  const Tensor index(rows, DType::i32, {3});
  EXPECT_THROW(matmul_grouped(c, {a, index}, {&b, 1}, offsets), Error);
  EXPECT_THROW(matmul_scatter(c, index, a, {&b, 1}, offsets), Error);
  rows[2] = 1;  // falls
  matmul_grouped(c, {a, index}, {&b, 1}, offsets);
  EXPECT_THROW(matmul_scatter(c, index, a, {&b, 1}, offsets), Error);
  EXPECT_THROW(matmul_scatter(random_matrix(3, 16, bf16, 3), index, a, {&b, 1}, offsets), Error);
}

}  // namespace
}  // namespace minke
