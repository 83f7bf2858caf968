#include "train/muon.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace minke {
namespace {

// The update of a random matrix is near an orthogonal one: its rows, or columns where there are
// fewer, are nearly orthonormal after the scale is taken out. Half the steps leave the smallest
// singular values further from 1.
void check_orthogonality(int64_t steps, double tolerance) {
  OptimizerConfig config;
  config.muon_steps = steps;
  config.learning_rate = 1.0;
  config.weight_decay = 0.0;
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{12, 20}, {20, 12}, {7, 7}})
    for (const DType momentum_dtype : {DType::f32, DType::bf16}) {
      Arena arena(1 << 20);
      const int64_t size = rows * columns;
      const Tensor weights = arena.allocate(DType::f32, {size});
      const Tensor momentum = arena.allocate(momentum_dtype, {size});
      const Tensor gradients = arena.allocate(DType::f32, {size});
      Random random(1);
      for (int64_t i = 0; i < size; ++i)
        gradients.as<float>()[i] = static_cast<float>(random.normal());
      const Muon muon(config, DType::f32, {{0, rows, columns}}, arena);
      muon.step(weights, momentum, gradients, 1.0, 1.0f);
      const double scale = -0.18 * std::sqrt(static_cast<double>(std::max(rows, columns)));
      const Tensor w = weights.reshape({rows, columns});
      const bool tall = rows > columns;
      const int64_t vectors = std::min(rows, columns), length = std::max(rows, columns);
      for (int64_t a = 0; a < vectors; ++a)
        for (int64_t b = 0; b < vectors; ++b) {
          double dot = 0;
          for (int64_t i = 0; i < length; ++i) {
            const double x = tall ? w.row<float>(i)[a] : w.row<float>(a)[i];
            const double y = tall ? w.row<float>(i)[b] : w.row<float>(b)[i];
            dot += x * y / (scale * scale);
          }
          EXPECT_NEAR(dot, a == b ? 1.0 : 0.0, tolerance) << rows << " x " << columns;
        }
    }
}

TEST(Muon, UpdateIsNearlyOrthogonal) { check_orthogonality(10, 0.05); }

TEST(Muon, FiveStepsAreLessExact) { check_orthogonality(5, 0.3); }

}  // namespace
}  // namespace minke
