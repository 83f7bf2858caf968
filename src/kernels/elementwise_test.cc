// Sums over rows, rows added to rows, and rotations, on every instruction set.
#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/isa.h"
#include "kernels/rope.h"
#include "tensor/arena.h"

namespace minke {
namespace {

class ElementwiseTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override { set_active_isa(GetParam()); }
  void TearDown() override {
    set_active_isa(isa_);
    set_thread_count(threads_);
  }

  // Random rows with a gap after each.
  Tensor random_rows(DType dtype, int64_t rows, int64_t columns) {
    const Tensor values = arena_.allocate(DType::f32, {rows, columns + 3});
    for (int64_t i = 0; i < values.size(); ++i)
      values.as<float>()[i] = static_cast<float>(random_.normal());
    const Tensor x = arena_.allocate(dtype, {rows, columns + 3});
    convert(x, values);
    return x.slice_last(0, columns);
  }
  std::vector<float> values(const Tensor& x) {
    const Tensor wide = arena_.allocate(DType::f32, {x.rows(), x.columns()});
    convert(wide, x);
    return {wide.as<float>(), wide.as<float>() + wide.size()};
  }

  Arena arena_ = Arena(1 << 24);
  Random random_ = Random(3);

 private:
  Isa isa_ = active_isa();
  int threads_ = thread_count();
};

// h = w·silu(gate)⊙up: the gradient of gate and up is w times that without w, that of w is Σ dh⊙h
// with w = 1.
TEST_P(ElementwiseTest, SwigluOfWeightedRows) {
  const int64_t rows = 70, n = 37;
  const Tensor gate_up = random_rows(DType::f32, rows, 2 * n),
               dh = random_rows(DType::f32, rows, n);
  const Tensor h = random_rows(DType::f32, rows, n), weighted = random_rows(DType::f32, rows, n);
  const Tensor plain = random_rows(DType::f32, rows, 2 * n),
               got = random_rows(DType::f32, rows, 2 * n);
  const Tensor weights = arena_.allocate(DType::f32, {rows});
  const Tensor dweights = arena_.allocate(DType::f32, {rows});
  for (int64_t r = 0; r < rows; ++r) weights.as<float>()[r] = static_cast<float>(r) / 16;
  silu_mul_forward(h, gate_up);
  silu_mul_backward(plain, dh, gate_up);
  silu_mul_forward(weighted, gate_up, weights);
  silu_mul_backward(got, dh, gate_up, weights, dweights);
  for (int64_t r = 0; r < rows; ++r) {
    const float w = weights.as<float>()[r];
    double dw = 0;
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(weighted.row<float>(r)[i], w * h.row<float>(r)[i]);
      dw += static_cast<double>(dh.row<float>(r)[i]) * h.row<float>(r)[i];
    }
    for (int64_t i = 0; i < 2 * n; ++i) EXPECT_EQ(got.row<float>(r)[i], w * plain.row<float>(r)[i]);
    EXPECT_NEAR(dweights.as<float>()[r], dw, 1e-4);
  }
}

TEST_P(ElementwiseTest, RowsAreSummed) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const int64_t rows = 200, columns = 21;
    const Tensor x = random_rows(dtype, rows, columns);
    const std::vector<float> in = values(x);
    std::vector<float> first;
    for (const int threads : {1, 3}) {
      set_thread_count(threads);
      const Tensor sum = arena_.allocate(DType::f32, {columns});
      std::fill_n(sum.as<float>(), columns, 1.0f);
      sum_rows(sum, x);
      const std::vector<float> got = values(sum.reshape({1, columns}));
      if (first.empty()) first = got;
      EXPECT_EQ(got, first);
      for (int64_t c = 0; c < columns; ++c) {
        double expected = 1;
        for (int64_t r = 0; r < rows; ++r) expected += in[r * columns + c];
        EXPECT_NEAR(got[c], expected, 1e-4);
      }
    }
  }
}

TEST_P(ElementwiseTest, ARowIsAddedToEach) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const bool accumulate : {false, true}) {
      const int64_t rows = 5, columns = 37;
      const Tensor y = random_rows(dtype, rows, columns);
      const Tensor row = arena_.allocate(DType::f32, {columns});
      for (int64_t c = 0; c < columns; ++c) row.as<float>()[c] = static_cast<float>(c) / 8;
      const std::vector<float> before = values(y);
      broadcast_row(y, row, accumulate);
      const std::vector<float> after = values(y);
      for (int64_t i = 0; i < rows * columns; ++i) {
        const float sum = row.as<float>()[i % columns] + (accumulate ? before[i] : 0.0f);
        EXPECT_EQ(after[i], dtype == DType::f32 ? sum : to_float(to_bfloat16(sum)));
      }
    }
}

// Halves are interleaved pairs in another order, and the inverse undoes them.
TEST_P(ElementwiseTest, HalvesRotateAsPairsDo) {
  const int64_t rows = 6, heads = 3, pairs = 7;
  const Tensor cosine = arena_.allocate(DType::f32, {rows, pairs});
  const Tensor sine = arena_.allocate(DType::f32, {rows, pairs});
  const Tensor positions = arena_.allocate(DType::i32, {rows});
  for (int64_t r = 0; r < rows; ++r) {
    positions.as<int32_t>()[r] = static_cast<int32_t>(rows - 1 - r);
    for (int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(r) / static_cast<double>(1 + i);
      cosine.row<float>(r)[i] = static_cast<float>(std::cos(angle));
      sine.row<float>(r)[i] = static_cast<float>(std::sin(angle));
    }
  }
  const Tensor x = random_rows(DType::f32, rows, heads * 2 * pairs);
  const std::vector<float> before = values(x);
  const Tensor reordered = arena_.allocate(DType::f32, {rows, heads, 2 * pairs});
  const auto interleaved = [&](int64_t i) {  // where element i of a head goes
    return i < pairs ? 2 * i : 2 * (i - pairs) + 1;
  };
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < heads * 2 * pairs; ++i)
      reordered.row<float>(r)[i / (2 * pairs) * 2 * pairs + interleaved(i % (2 * pairs))] =
          x.row<float>(r)[i];
  rope(reordered, positions, cosine, sine, false);
  const Tensor by_head = x.split_last(heads, 2 * pairs);
  rope(by_head, positions, cosine, sine, false, RopePairs::halves);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < heads * 2 * pairs; ++i)
      EXPECT_EQ(
          x.row<float>(r)[i],
          reordered.row<float>(r)[i / (2 * pairs) * 2 * pairs + interleaved(i % (2 * pairs))]);
  rope(by_head, positions, cosine, sine, true, RopePairs::halves);
  const std::vector<float> after = values(x);
  for (size_t i = 0; i < after.size(); ++i) EXPECT_NEAR(after[i], before[i], 1e-6);
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, ElementwiseTest, testing::ValuesIn(supported_isas()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

}  // namespace
}  // namespace minke
