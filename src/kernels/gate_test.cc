// The routers' choices and weights, and the balance loss, on cases worked out by hand.
#include "kernels/gate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "kernels/experts.h"

namespace minke {
namespace {

Tensor view(std::vector<float>& values, int64_t rows) {
  return Tensor(values.data(), DType::f32, {rows, static_cast<int64_t>(values.size()) / rows});
}

struct Gate {
  Gate(std::vector<float> logits, std::vector<float> bias, int64_t tokens,
       const GateOptions& options)
      : scores_data(logits.size()),
        indices_data(static_cast<size_t>(tokens * options.top_k)),
        weights_data(indices_data.size()) {
    scores = view(scores_data, tokens);
    weights = view(weights_data, tokens);
    indices = Tensor(indices_data.data(), DType::i32, {tokens, options.top_k});
    const Tensor bias_view =
        bias.empty() ? Tensor()
                     : Tensor(bias.data(), DType::f32, {static_cast<int64_t>(bias.size())});
    gate_forward(scores, indices, weights, view(logits, tokens), bias_view, options);
  }
  std::vector<float> scores_data;
  std::vector<int32_t> indices_data;
  std::vector<float> weights_data;
  Tensor scores, indices, weights;
};

TEST(Gate, V3BiasChoosesButDoesNotWeigh) {
  const GateOptions options{2, 1, 1, true, true, true, 2.5f};
  // Without the bias experts 0 and 1 win; it lifts expert 3.
  const Gate gate({2, 1, 0, -1}, {0, 0, 0, 10}, 1, options);
  EXPECT_EQ(gate.indices_data, (std::vector<int32_t>{3, 0}));
  const double s3 = 1 / (1 + std::exp(1.0)), s0 = 1 / (1 + std::exp(-2.0));
  EXPECT_NEAR(gate.weights_data[0], 2.5 * s3 / (s0 + s3), 1e-6);
  EXPECT_NEAR(gate.weights_data[0] + gate.weights_data[1], 2.5, 1e-6);
}

TEST(Gate, GroupsThatLoseAreOutOfReachEvenWithNegativeScores) {
  // Group scores are the sums of the two best: {0,1}: high; {2,3}: one good expert only. A negative
  // bias makes all choices negative, where masking with 0 would choose from the lost group.
  const GateOptions options{2, 2, 1, true, true, true, 1.0f};
  const Gate gate({1, 1, 3, -9}, {-5, -5, -5, -5}, 1, options);
  EXPECT_EQ(gate.indices_data, (std::vector<int32_t>{0, 1}));
}

TEST(Gate, V2GroupScoreIsTheBestExpert) {
  const GateOptions options{2, 2, 1, false, false, false, 16.0f};
  const Gate gate({1, 1, 3, -9}, {}, 1, options);
  EXPECT_EQ(gate.indices_data, (std::vector<int32_t>{2, 3}));
  const double total = 2 * std::exp(1.0) + std::exp(3.0) + std::exp(-9.0);
  EXPECT_NEAR(gate.weights_data[0], 16 * std::exp(3.0) / total, 1e-4);
}

TEST(Gate, TiesGoToTheLowerIndex) {
  const GateOptions options{3, 1, 1, true, true, true, 1.0f};
  EXPECT_EQ(Gate({0, 0, 0, 0, 0}, {}, 1, options).indices_data, (std::vector<int32_t>{0, 1, 2}));
}

TEST(BalanceLoss, IsAlphaAtPerfectBalance) {
  const GateOptions options{1, 1, 1, true, true, true, 1.0f};
  const int64_t tokens = 4;
  std::vector<float> logits(16);
  const Gate gate(logits, {}, tokens, options);
  std::vector<int32_t> chosen = {0, 1, 2, 3};
  const Tensor indices(chosen.data(), DType::i32, {tokens, 1});
  const std::vector<int64_t> bounds = {0, 4};
  EXPECT_NEAR(balance_loss(Tensor(), gate.scores, indices, bounds, 1e-4, 1.0), 1e-4, 1e-9);
}

TEST(Routing, EveryTokenReachesItsExpertsAndComesBack) {
  const int64_t tokens = 11, experts = 5, top_k = 2;
  Random random(3);
  std::vector<int32_t> chosen;
  for (int64_t t = 0; t < tokens; ++t) {
    chosen.push_back(static_cast<int32_t>(random.below(experts)));
    chosen.push_back(
        static_cast<int32_t>((chosen.back() + 1 + random.below(experts - 1)) % experts));
  }
  Arena arena(1 << 16);
  ExpertRoute route = allocate_route(arena, tokens, top_k, experts);
  const Tensor weights = arena.allocate(DType::f32, {tokens, top_k});
  for (int64_t i = 0; i < weights.size(); ++i) weights.as<float>()[i] = static_cast<float>(i);
  route_tokens(route, Tensor(chosen.data(), DType::i32, {tokens, top_k}), weights);
  EXPECT_EQ(route.offsets.back(), tokens * top_k);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t k = 0; k < top_k; ++k) {
      const int32_t row = route.row_of_slot.row<int32_t>(t)[k], expert = chosen[t * top_k + k];
      EXPECT_EQ(route.token_of_row.as<int32_t>()[row], t);
      EXPECT_EQ(route.weight_of_row.as<float>()[row], weights.row<float>(t)[k]);
      EXPECT_GE(row, route.offsets[expert]);
      EXPECT_LT(row, route.offsets[expert + 1]);
    }
  const Tensor back = arena.allocate(DType::f32, {tokens, top_k});
  slots_from_rows(back, route.weight_of_row, route);
  for (int64_t i = 0; i < back.size(); ++i) EXPECT_EQ(back.as<float>()[i], weights.as<float>()[i]);
}

}  // namespace
}  // namespace minke
