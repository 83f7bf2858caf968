// The row primitives of every instruction set against the scalar reference, on rows of any length.
#include "kernels/row_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/isa.h"
#include "tensor/dtype.h"

namespace minke {
namespace {

constexpr int64_t lengths[] = {1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 100, 255};

std::vector<float> random_row(int64_t n, uint64_t seed, double scale = 1.0) {
  Random random(seed);
  std::vector<float> row;
  for (int64_t i = 0; i < n; ++i) row.push_back(static_cast<float>(scale * random.normal()));
  return row;
}

void expect_close(const std::vector<float>& a, const std::vector<float>& b, const char* what) {
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], 2e-6 + 2e-6 * std::abs(b[i]))
        << what << " at " << i << " of " << a.size();
}

class RowOpsTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override { set_active_isa(GetParam()); }
  void TearDown() override { set_active_isa(before_); }
  const RowOps& truth_ = reference_row_ops;

 private:
  Isa before_ = active_isa();
};

TEST_P(RowOpsTest, ConversionsAreExact) {
  for (const int64_t n : lengths) {
    std::vector<float> x = random_row(n, 1, 100);
    x[0] = std::numeric_limits<float>::quiet_NaN();
    if (n > 2) {
      x[1] = std::bit_cast<float>(0x3f808000u);  // halfway, to even
      x[2] = std::numeric_limits<float>::infinity();
    }
    std::vector<uint16_t> a(n), b(n);
    truth_.narrow(a.data(), x.data(), n);
    row_ops().narrow(b.data(), x.data(), n);
    EXPECT_EQ(a, b);
    std::vector<float> wide(n), expected(n);
    truth_.widen(expected.data(), a.data(), n);
    row_ops().widen(wide.data(), a.data(), n);
    for (int64_t i = 1; i < n; ++i) EXPECT_EQ(wide[i], expected[i]);
    EXPECT_TRUE(std::isnan(wide[0]));
  }
}

TEST_P(RowOpsTest, Reductions) {
  for (const int64_t n : lengths) {
    const auto x = random_row(n, 2), y = random_row(n, 3);
    EXPECT_NEAR(row_ops().dot(x.data(), y.data(), n), truth_.dot(x.data(), y.data(), n), 1e-5);
    EXPECT_EQ(row_ops().max(x.data(), n), truth_.max(x.data(), n));
    const float expected = truth_.sum_exp(x.data(), 0.5f, n);
    EXPECT_NEAR(row_ops().sum_exp(x.data(), 0.5f, n), expected, 1e-6 * expected);
  }
}

TEST_P(RowOpsTest, Elementwise) {
  for (const int64_t n : lengths) {
    const auto x = random_row(n, 4, 3), y = random_row(n, 5, 3), z = random_row(n, 6);
    const auto compare = [&](const char* what, auto call) {
      std::vector<float> got = z, expected = z;
      call(row_ops(), got.data());
      call(truth_, expected.data());
      expect_close(got, expected, what);
    };
    compare("add_scaled",
            [&](const RowOps& o, float* out) { o.add_scaled(out, x.data(), 0.3f, n); });
    compare("blend", [&](const RowOps& o, float* out) { o.blend(out, 0.7f, x.data(), 0.3f, n); });
    compare("scale", [&](const RowOps& o, float* out) { o.scale(out, 0.7f, n); });
    compare("add_product",
            [&](const RowOps& o, float* out) { o.add_product(out, x.data(), y.data(), 0.3f, n); });
    compare("multiply",
            [&](const RowOps& o, float* out) { o.multiply(out, x.data(), y.data(), 0.3f, n); });
    compare("silu_mul",
            [&](const RowOps& o, float* out) { o.silu_mul(out, x.data(), y.data(), n); });
    compare("exp_scaled",
            [&](const RowOps& o, float* out) { o.exp_scaled(out, x.data(), 1.0f, 0.1f, n); });
    compare("sigmoid", [&](const RowOps& o, float* out) { o.sigmoid(out, x.data(), n); });
    compare("silu_mul_gradient, gate", [&](const RowOps& o, float* out) {
      std::vector<float> up(n);
      o.silu_mul_gradient(out, up.data(), z.data(), x.data(), y.data(), n);
    });
    compare("silu_mul_gradient, up", [&](const RowOps& o, float* out) {
      std::vector<float> gate(n);
      o.silu_mul_gradient(gate.data(), out, z.data(), x.data(), y.data(), n);
    });
  }
}

TEST_P(RowOpsTest, ExponentialIsExactToTwoUnits) {
  std::vector<float> x, y;
  for (double t = -87; t <= 88; t += 0.0137) x.push_back(static_cast<float>(t));
  const size_t inside = x.size();
  x.insert(x.end(), {-87.5f, -200.0f, -std::numeric_limits<float>::infinity(),
                     std::numeric_limits<float>::quiet_NaN()});
  y.resize(x.size());
  row_ops().exp_scaled(y.data(), x.data(), 0.0f, 1.0f, static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < inside; ++i) {
    const double expected = std::exp(static_cast<double>(x[i]));
    EXPECT_NEAR(y[i] / expected, 1.0, 2.4e-7) << x[i];
  }
  for (size_t i = inside; i + 1 < x.size(); ++i) EXPECT_NEAR(y[i], 0.0f, 1e-37) << x[i];
  EXPECT_TRUE(std::isnan(y.back()));
}

// Large arguments reach their limits and not NaN.
TEST_P(RowOpsTest, SigmoidSaturates) {
  const std::vector<float> x = {-1000.0f, -90.0f, 90.0f, 1000.0f};
  std::vector<float> y(4);
  row_ops().sigmoid(y.data(), x.data(), 4);
  EXPECT_NEAR(y[0], 0.0f, 1e-30);
  EXPECT_NEAR(y[1], 0.0f, 1e-30);
  EXPECT_EQ(y[2], 1.0f);
  EXPECT_EQ(y[3], 1.0f);
}

TEST_P(RowOpsTest, RotationIsUndoneByItsInverse) {
  for (const int64_t pairs : {1, 9, 16, 40}) {
    const auto angles = random_row(pairs, 7), x = random_row(2 * pairs, 8);
    std::vector<float> cosine, sine;
    for (const float angle : angles) {
      cosine.push_back(std::cos(angle));
      sine.push_back(std::sin(angle));
    }
    std::vector<float> y = x, expected = x;
    row_ops().rotate_pairs(y.data(), cosine.data(), sine.data(), 1.0f, pairs);
    truth_.rotate_pairs(expected.data(), cosine.data(), sine.data(), 1.0f, pairs);
    expect_close(y, expected, "rotate_pairs");
    row_ops().rotate_pairs(y.data(), cosine.data(), sine.data(), -1.0f, pairs);
    expect_close(y, x, "rotate_pairs and back");
    y = expected = x;
    row_ops().rotate_halves(y.data(), cosine.data(), sine.data(), 1.0f, pairs);
    truth_.rotate_halves(expected.data(), cosine.data(), sine.data(), 1.0f, pairs);
    EXPECT_EQ(y, expected) << "rotate_halves";
    EXPECT_FLOAT_EQ(y[0], x[0] * cosine[0] - x[pairs] * sine[0]);
    row_ops().rotate_halves(y.data(), cosine.data(), sine.data(), -1.0f, pairs);
    expect_close(y, x, "rotate_halves and back");
  }
}

TEST_P(RowOpsTest, AdamW) {
  const AdamwConstants constants{0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, 10.0f, 20.0f};
  for (const int64_t n : lengths) {
    const auto gradient = random_row(n, 9);
    auto w = random_row(n, 10), m = random_row(n, 11, 0.1), v = random_row(n, 12, 0.1);
    for (float& value : v) value = std::abs(value);
    auto w2 = w, m2 = m, v2 = v;
    row_ops().adamw(w.data(), m.data(), v.data(), gradient.data(), 0.5f, constants, n);
    truth_.adamw(w2.data(), m2.data(), v2.data(), gradient.data(), 0.5f, constants, n);
    expect_close(w, w2, "weights");
    expect_close(m, m2, "first moment");
    expect_close(v, v2, "second moment");
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, RowOpsTest, testing::ValuesIn(supported_isas()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

}  // namespace
}  // namespace minke
