#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/block.h"
#include "kernels/cpu/tiles.h"
#include "kernels/elementwise.h"
#include "kernels/packed.h"
#include "kernels/product_fixture.h"

namespace minke {
namespace {

const Case cases[] = {{1, 1, 1},      {1, 129, 33}, {2, 16, 15},    {3, 5, 2},
                      {5, 17, 31},    {7, 64, 3},   {15, 31, 16},   {16, 33, 17},
                      {17, 100, 64},  {31, 2, 100}, {33, 48, 32},   {64, 15, 5},
                      {100, 16, 129}, {129, 3, 64}, {1, 272, 2080}, {40, 272, 40}};

struct Types {
  DType a, b, c;
};

const Types types[] = {{f32, f32, f32},   {bf16, bf16, bf16}, {bf16, bf16, f32},
                       {f32, bf16, bf16}, {bf16, f32, f32},   {f32, f32, bf16}};

Tensor copy_as(DType dtype, const Tensor& t) {
  Tensor result = random_matrix(t.rows(), t.columns(), dtype, 0);
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = 0; c < t.columns(); ++c)
      ref::store(result, r * result.row_stride() + c, ref::load(t, r * t.row_stride() + c));
  return result;
}

Tensor copy(const Tensor& t) { return copy_as(t.dtype, t); }

// Sums of `inner` products of normal numbers, kept in dtype.
void expect_close(const Tensor& got, const Tensor& want, int64_t inner) {
  const float tolerance = got.dtype == bf16 ? 0.01f : 2e-6f;
  for (int64_t r = 0; r < got.rows(); ++r)
    for (int64_t c = 0; c < got.columns(); ++c) {
      const float x = ref::load(got, r * got.row_stride() + c);
      const float y = ref::load(want, r * want.row_stride() + c);
      ASSERT_NEAR(x, y, tolerance * (std::abs(y) + std::sqrt(inner) + 1)) << r << ", " << c;
    }
}

void expect_same_bits(const Tensor& a, const Tensor& b) {
  for (int64_t r = 0; r < a.rows(); ++r)
    ASSERT_EQ(std::memcmp(a.data + r * a.row_stride() * dtype_bytes(a.dtype),
                          b.data + r * b.row_stride() * dtype_bytes(b.dtype),
                          a.columns() * dtype_bytes(a.dtype)),
              0)
        << "row " << r;
}

PackedMatrix packed_copy(const Tensor& weight, DType dtype) {
  const PackedMatrix b = allocate_packed(arena(), dtype, weight.rows(), weight.columns());
  pack(b, weight);
  return b;
}

using MatmulTest = ProductTest;

TEST_F(MatmulTest, ProductIsTheReference) {
  for (const Case& s : cases)
    for (const Types& t : types)
      for (const bool accumulate : {false, true}) {
        SCOPED_TRACE(fmt::format("{} x {} x {}, {}", s.m, s.n, s.k, dtype_name(t.b)));
        const int64_t mark = arena().mark();
        const Tensor a = random_matrix(s.m, s.k, t.a, 1), w = random_matrix(s.n, s.k, f32, 2);
        const Tensor start = random_matrix(s.m, s.n, t.c, 3), want = copy(start);
        with_isa(Isa::reference, [&] { matmul(want, a, packed_copy(w, t.b), accumulate); });
        each_isa([&] {
          const Tensor c = copy(start);
          matmul(c, a, packed_copy(w, t.b), accumulate);
          expect_close(c, want, s.k);
        });
        arena().release(mark);
      }
}

TEST_F(MatmulTest, WeightGradientIsTheReference) {
  for (const Case& s : cases)
    for (const DType dtype : {f32, bf16})
      for (const bool accumulate : {false, true}) {
        SCOPED_TRACE(fmt::format("{} x {} x {}, {}", s.m, s.n, s.k, dtype_name(dtype)));
        const int64_t mark = arena().mark();
        const Tensor dy = random_matrix(s.m, s.n, dtype, 1), x = random_matrix(s.m, s.k, dtype, 2);
        const Tensor start = random_matrix(s.n, s.k, f32, 3), want = copy(start);
        with_isa(Isa::reference, [&] { matmul_weight_gradient(want, dy, x, accumulate); });
        each_isa([&] {
          const Tensor dw = copy(start);
          matmul_weight_gradient(dw, dy, x, accumulate);
          expect_close(dw, want, s.m);
        });
        arena().release(mark);
      }
}

// Without instructions for bf16 its operands are widened, and nothing else differs from f32.
TEST_F(MatmulTest, WidenedGradientIsThatOfF32) {
  for (const Case& s : cases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", s.m, s.n, s.k));
    const int64_t mark = arena().mark();
    const Tensor dy = random_matrix(s.m, s.n, bf16, 1), x = random_matrix(s.m, s.k, bf16, 2);
    const Tensor start = random_matrix(s.n, s.k, f32, 3);
    each_isa([&] {
      if (cpu::kernels().bf16_products) return;
      const Tensor widened = copy(start), want = copy(start);
      matmul_weight_gradient(widened, dy, x, true);
      matmul_weight_gradient(want, copy_as(f32, dy), copy_as(f32, x), true);
      expect_same_bits(widened, want);
    });
    arena().release(mark);
  }
}

TEST_F(MatmulTest, PackingIsTheReference) {
  for (const DType to : {f32, bf16})
    for (const DType from : {f32, bf16})
      for (const int64_t first : {16, 32, 5, 33}) {
        const Tensor one = random_matrix(first, 37, from, 1);
        const Tensor two = random_matrix(35, 37, from, 2);
        const auto fill = [&](const PackedMatrix& rows, const PackedMatrix& inner) {
          pack(rows, one);
          pack(rows, two, first);
          pack_transposed(inner, one);
          pack_transposed(inner, two, first);
        };
        const auto allocate = [&] {
          return std::array{allocate_packed(arena(), to, first + 35, 37),
                            allocate_packed(arena(), to, 37, first + 35)};
        };
        const auto want = allocate();
        with_isa(Isa::reference, [&] { fill(want[0], want[1]); });
        each_isa([&] {
          const auto got = allocate();
          fill(got[0], got[1]);
          expect_same_bits(got[0].storage, want[0].storage);
          expect_same_bits(got[1].storage, want[1].storage);
        });
      }
}

TEST_F(MatmulTest, RoundingIsExact) {
  const float values[] = {0.0f,   -0.0f,   1.0f,     1.00390625f, 1.01171875f, 3.4e38f,
                          1e-40f, -1e-39f, INFINITY, -INFINITY,   NAN,         -2.7182817f};
  for (const float value : values)
    each_isa([&] {
      std::vector<float> in(19, value);
      std::vector<uint16_t> out(19);
      cpu::kernels().round(out.data(), in.data(), 19);
      for (const uint16_t bits : out) {
        if (std::isnan(value))
          EXPECT_TRUE(std::isnan(to_float(BFloat16{bits})));
        else
          EXPECT_EQ(bits, to_bfloat16(value).bits) << value;
      }
    });
}

// What the numerics contract promises: the number of threads, the other rows and the grouping
// change no bit.
TEST_F(MatmulTest, BitsDependOnTheRowAlone) {
  constexpr int64_t m = 131, n = 144, k = 1100;
  for (const DType dtype : {f32, bf16}) {
    const Tensor a = random_matrix(m, k, dtype, 1), w = random_matrix(n, k, f32, 2);
    each_isa([&] {
      const PackedMatrix b = packed_copy(w, dtype);
      const Tensor whole = random_matrix(m, n, dtype, 3);
      set_thread_count(1);
      matmul(whole, a, b);
      for (const int threads : {2, 3}) {
        set_thread_count(threads);
        const Tensor c = random_matrix(m, n, dtype, 4);
        matmul(c, a, b);
        expect_same_bits(c, whole);
      }
      const Tensor alone = random_matrix(m, n, dtype, 5);
      for (int64_t i = 0; i < m; ++i) matmul(alone.slice_rows(i, i + 1), a.slice_rows(i, i + 1), b);
      expect_same_bits(alone, whole);
      const std::vector<PackedMatrix> groups(4, b);
      const int64_t offsets[] = {0, 40, 40, 41, m};
      const Tensor grouped = random_matrix(m, n, dtype, 6);
      matmul_grouped(grouped, a, groups, offsets);
      expect_same_bits(grouped, whole);
    });
  }
}

// Widths that end inside a panel too, several tiles and threads, groups without rows.
TEST_F(MatmulTest, SwigluHasTheBitsOfItsTwoSteps) {
  constexpr int64_t m = 150, k = 70;
  const int64_t offsets[] = {0, 40, 40, 41, m};
  for (const int64_t width : {16, 24, 48, 336})
    for (const Types& type : types) {
      const Tensor a = random_matrix(m, k, type.a, 1);
      std::vector<PackedMatrix> b;
      for (uint64_t g = 0; g < 4; ++g)
        b.push_back(packed_copy(random_matrix(2 * width, k, f32, 2 + g), type.b));
      each_isa([&] {
        const Tensor gate_up = random_matrix(m, 2 * width, type.c, 7);
        const Tensor want = random_matrix(m, 2 * width, type.c, 8);
        const Tensor h = random_matrix(m, width, type.c, 9), want_h = copy(h);
        matmul_grouped(want, a, b, offsets);
        silu_mul_forward(want_h, want);
        for (const int threads : {1, 3}) {
          set_thread_count(threads);
          matmul_swiglu(gate_up, h, a, b, offsets);
          expect_same_bits(gate_up, want);
          expect_same_bits(h, want_h);
        }
      });
    }
}

TEST_F(MatmulTest, GradientBitsDependOnTheGroupAlone) {
  constexpr int64_t m = 1200, n = 150, k = 70;
  for (const DType dtype : {f32, bf16}) {
    const Tensor dy = random_matrix(m, n, dtype, 1), x = random_matrix(m, k, dtype, 2);
    const int64_t offsets[] = {0, 33, 33, 700, m};
    each_isa([&] {
      std::vector<Tensor> single, grouped;
      for (int g = 0; g < 4; ++g) {
        single.push_back(random_matrix(n, k, f32, 3));
        grouped.push_back(random_matrix(n, k, f32, 4));
        set_thread_count(1);
        matmul_weight_gradient(single[g], dy.slice_rows(offsets[g], offsets[g + 1]),
                               x.slice_rows(offsets[g], offsets[g + 1]), false);
      }
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        matmul_weight_gradient_grouped(grouped, dy, x, offsets, false);
        for (int g = 0; g < 4; ++g) expect_same_bits(grouped[g], single[g]);
      }
      matmul_weight_gradient_grouped(grouped, dy, x, offsets, true);
      for (int64_t i = 0; i < k; ++i) ASSERT_EQ(ref::load(grouped[1], i), 0);  // an empty group
    });
  }
}

TEST_F(MatmulTest, ShapesThatDisagreeAreErrors) {
  const Tensor a = random_matrix(4, 8, f32, 1), w = random_matrix(16, 9, f32, 2);
  const PackedMatrix b = packed_copy(w, f32);
  EXPECT_THROW(matmul(random_matrix(4, 16, f32, 3), a, b), Error);
  EXPECT_THROW(pack(b, w, 1), Error);
  EXPECT_THROW(matmul_weight_gradient(w, a, a.slice_rows(0, 3), false), Error);
}

// Tile registers in plain C++.
struct EmulatedTiles {
  struct State {
    char data[16][64];
    int rows;
  };
  static State& state(int number) {
    static State states[8];
    return states[number];
  }
  template <int number>
  struct Tile {
    static void zero() { std::memset(state(number).data, 0, sizeof(State::data)); }
    static void load(const char* p, int64_t row) {
      for (int r = 0; r < state(number).rows; ++r)
        std::memcpy(state(number).data[r], p + r * row, 64);
    }
    static void store(char* p, int64_t row) {
      for (int r = 0; r < state(number).rows; ++r)
        std::memcpy(p + r * row, state(number).data[r], 64);
    }
  };
  template <int number>
  static Tile<number> tile() {
    return {};
  }
  template <int c, int a, int b>
  static void dot() {
    for (int r = 0; r < state(c).rows; ++r)
      for (int n = 0; n < 16; ++n) {
        float sum;
        std::memcpy(&sum, state(c).data[r] + 4 * n, 4);
        for (int i = 0; i < 32; ++i) {
          BFloat16 x, y;
          std::memcpy(&x, state(a).data[r] + 2 * i, 2);
          std::memcpy(&y, state(b).data[i / 2] + 4 * n + i % 2 * 2, 2);
          sum += to_float(x) * to_float(y);
        }
        std::memcpy(state(c).data[r] + 4 * n, &sum, 4);
      }
  }
  static void configure(int top, int bottom) {
    const int rows[8] = {top, top, bottom, bottom, top, bottom, 16, 16};
    for (int i = 0; i < 8; ++i) state(i).rows = rows[i];
  }
  static void release() {}
};

TEST_F(MatmulTest, TilesCoverTheProduct) {
  for (const int64_t rows : {1, 15, 16, 17, 31, 32, 33, 63, 64, 80})
    for (const int64_t panels : {1, 2, 3})
      for (const bool rounded : {false, true}) {
        const int64_t n = panels * 16, k = 64;
        const Tensor a = random_matrix(rows, k, bf16, 1), w = random_matrix(n, k, bf16, 2);
        const Tensor want = random_matrix(rows, n, rounded ? bf16 : f32, 3), got = copy(want);
        const Tensor sums = random_matrix(rows, n, f32, 4);
        const PackedMatrix b = packed_copy(w, bf16);
        with_isa(Isa::reference, [&] { matmul(want, a, b); });
        cpu::Product p{};
        p.rows = rows;
        p.panels = panels;
        p.steps = k / 2;
        p.a = reinterpret_cast<const char*>(a.data);
        p.a_row = a.row_stride() * 2;
        p.a_step = 4;
        p.b = reinterpret_cast<const char*>(b.storage.data);
        p.b_panel = panel_elements(b) * 2;
        p.c = rounded ? sums.as<float>() : got.as<float>();
        p.c_row = sums.row_stride();
        if (rounded) p.rounded = reinterpret_cast<uint16_t*>(got.data);
        p.rounded_row = got.row_stride();
        cpu::multiply_with_tiles<EmulatedTiles>(p);
        expect_close(got, want, k);
      }
}

}  // namespace
}  // namespace minke
