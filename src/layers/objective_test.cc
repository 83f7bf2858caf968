// Each objective's gradient against central differences of its losses, on the reference and on the
// fast kernels.
#include "layers/objective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/files.h"
#include "base/random.h"
#include "base/threads.h"
#include "kernels/isa.h"

namespace minke {
namespace {

constexpr int64_t tokens = 3, vocab = 29;

// Owns a chunk of random logits for rows 0, 2 and 5 of six.
struct Chunk {
  Chunk() {
    Random random(4);
    for (int64_t i = 0; i < tokens * vocab; ++i) {
      logits.push_back(static_cast<float>(2 * random.normal()));
      teacher.push_back(static_cast<float>(2 * random.normal()));
    }
  }
  // Σ losses; the gradient goes to dlogits if it is wanted.
  double loss(Objective& objective, bool gradient) {
    std::vector<float> scratch = logits;
    std::vector<float> losses(tokens);
    objective.compute({rows, Tensor(targets.data(), DType::i32, {tokens}),
                       Tensor(weights.data(), DType::f32, {tokens}),
                       Tensor(scratch.data(), DType::f32, {tokens, vocab}),
                       Tensor(losses.data(), DType::f32, {tokens}),
                       gradient ? Tensor(dlogits.data(), DType::f32, {tokens, vocab}) : Tensor()});
    double sum = 0;
    for (const float x : losses) sum += x;
    return sum;
  }
  // The double-precision log-softmax that the kernels stand for.
  double log_p(const std::vector<float>& values, int64_t t, int64_t i, double temperature) const {
    double total = 0;
    for (int64_t j = 0; j < vocab; ++j) total += std::exp(values[t * vocab + j] / temperature);
    return values[t * vocab + i] / temperature - std::log(total);
  }

  std::vector<int32_t> rows = {0, 2, 5}, targets = {7, 0, 28};
  std::vector<float> weights = {1.0f, 0.5f, 2.0f};
  std::vector<float> logits, teacher, dlogits = std::vector<float>(tokens * vocab);
};

void expect_gradient(Chunk& chunk, Objective& objective, double scale) {
  chunk.loss(objective, true);
  const std::vector<float> gradient = chunk.dlogits;
  for (size_t i = 0; i < chunk.logits.size(); i += 5) {
    const float saved = chunk.logits[i], step = 0.02f;
    chunk.logits[i] = saved + step;
    const double above = chunk.loss(objective, false);
    chunk.logits[i] = saved - step;
    const double below = chunk.loss(objective, false);
    chunk.logits[i] = saved;
    EXPECT_NEAR(gradient[i], scale * (above - below) / (2 * step), 2e-3) << i;
  }
}

class ObjectiveTest : public testing::TestWithParam<Isa> {
 protected:
  ObjectiveTest() { set_active_isa(GetParam()); }
  ~ObjectiveTest() override { set_active_isa(before_); }
  Isa before_ = active_isa();
  Chunk chunk_;
};

TEST_P(ObjectiveTest, CrossEntropyIsWeighted) {
  CrossEntropy objective(0.25);
  double expected = 0;
  for (int64_t t = 0; t < tokens; ++t)
    expected -= chunk_.weights[t] * chunk_.log_p(chunk_.logits, t, chunk_.targets[t], 1.0);
  EXPECT_NEAR(chunk_.loss(objective, false), expected, 1e-4);
  expect_gradient(chunk_, objective, 0.25);
}

TEST_P(ObjectiveTest, LogProbabilitiesHaveATemperature) {
  TargetLogProbability objective(6, 0.7);
  chunk_.loss(objective, false);
  for (int64_t t = 0; t < tokens; ++t)
    EXPECT_NEAR(objective.log_probabilities()[chunk_.rows[t]],
                chunk_.log_p(chunk_.logits, t, chunk_.targets[t], 0.7), 1e-4);
  EXPECT_EQ(objective.log_probabilities()[1], 0.0f);  // no row of the chunk
}

TEST_P(ObjectiveTest, AnyFunctionOfThemHasItsGradient) {
  TargetLogProbability objective(6, 1.3, [](int64_t row, float log_p) {
    const float factor = static_cast<float>(row - 1);
    return TokenLoss{factor * std::exp(log_p), factor * std::exp(log_p)};
  });
  expect_gradient(chunk_, objective, 1.0);
}

TEST_P(ObjectiveTest, ReverseKlIsZeroOnlyAtTheTeacher) {
  std::vector<float> scratch;  // the objective may scale what it gets
  const auto teacher = [&](const std::vector<float>& logits) {
    return [&](std::span<const int32_t> rows) {
      EXPECT_EQ(std::vector<int32_t>(rows.begin(), rows.end()), chunk_.rows);
      scratch = logits;
      return Tensor(scratch.data(), DType::f32, {tokens, vocab});
    };
  };
  for (const double temperature : {1.0, 0.6}) {
    ReverseKl itself(1.0, temperature, teacher(chunk_.logits));
    EXPECT_NEAR(chunk_.loss(itself, true), 0.0, 1e-5);
    for (const float x : chunk_.dlogits) EXPECT_NEAR(x, 0.0, 1e-6);

    ReverseKl objective(0.5, temperature, teacher(chunk_.teacher));
    double expected = 0;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t i = 0; i < vocab; ++i) {
        const double p = chunk_.log_p(chunk_.logits, t, i, temperature);
        const double q = chunk_.log_p(chunk_.teacher, t, i, temperature);
        expected += chunk_.weights[t] * std::exp(p) * (p - q);
      }
    EXPECT_NEAR(chunk_.loss(objective, false), expected, 1e-3);
    expect_gradient(chunk_, objective, 0.5);
  }
}

// What ReverseKl makes of student and teacher, rows [n, V].
struct Divergence {
  Divergence(const std::vector<float>& student, std::vector<float> teacher,
             std::vector<float> weights, double scale, double temperature) {
    const int64_t n = static_cast<int64_t>(weights.size());
    const int64_t columns = static_cast<int64_t>(student.size()) / n;
    std::vector<float> logits = student;
    std::vector<int32_t> rows(static_cast<size_t>(n)), targets(static_cast<size_t>(n));
    std::iota(rows.begin(), rows.end(), 0);
    losses.resize(static_cast<size_t>(n));
    gradient.resize(logits.size());
    ReverseKl objective(scale, temperature, [&](std::span<const int32_t>) {
      return Tensor(teacher.data(), DType::f32, {n, columns});
    });
    objective.compute(
        {rows, Tensor(targets.data(), DType::i32, {n}), Tensor(weights.data(), DType::f32, {n}),
         Tensor(logits.data(), DType::f32, {n, columns}), Tensor(losses.data(), DType::f32, {n}),
         Tensor(gradient.data(), DType::f32, {n, columns})});
  }
  std::vector<float> losses, gradient;
};

std::vector<float> flat(const nlohmann::json& rows) {
  std::vector<float> values;
  for (const auto& row : rows)
    for (const auto& value : row) values.push_back(value.get<float>());
  return values;
}

// tests/golden/reverse_kl.json is PyTorch's, by tools/make_reverse_kl_golden.py.
TEST_P(ObjectiveTest, ReverseKlIsPyTorchs) {
  const auto golden = nlohmann::json::parse(
      read_file(std::filesystem::path(MINKE_SOURCE_DIR) / "tests/golden/reverse_kl.json"));
  ASSERT_EQ(golden.size(), 4u);
  for (const auto& entry : golden) {
    const Divergence found(flat(entry["student"]), flat(entry["teacher"]), entry["weights"],
                           entry["scale"], entry["temperature"]);
    const auto losses = entry["losses"].get<std::vector<double>>();
    for (size_t i = 0; i < losses.size(); ++i)
      EXPECT_NEAR(found.losses[i], losses[i], 1e-5 * (1 + std::abs(losses[i])));
    // A probability's rounding is multiplied by how far the two are apart.
    const double tolerance = 1e-5 * (1 + *std::max_element(losses.begin(), losses.end()));
    const std::vector<float> gradient = flat(entry["gradient"]);
    ASSERT_EQ(gradient.size(), found.gradient.size());
    for (size_t i = 0; i < gradient.size(); ++i)
      EXPECT_NEAR(found.gradient[i], gradient[i], tolerance) << i;
  }
}

// The formula, term by term in double precision: p·(log p − log q − KL).
TEST_P(ObjectiveTest, ReverseKlHasTheBitsOfAnyThreadCount) {
  constexpr int64_t n = 37;
  for (const int64_t columns : {1, 3, 129, 1001}) {
    Random random(static_cast<uint64_t>(columns));
    std::vector<float> student, teacher;
    for (int64_t i = 0; i < n * columns; ++i) {
      student.push_back(static_cast<float>(3 * random.normal()));
      teacher.push_back(static_cast<float>(3 * random.normal()));
    }
    const int threads = thread_count();
    set_thread_count(1);
    const Divergence one(student, teacher, std::vector<float>(n, 1.0f), 1.0, 0.9);
    set_thread_count(3);
    const Divergence three(student, teacher, std::vector<float>(n, 1.0f), 1.0, 0.9);
    set_thread_count(threads);
    EXPECT_EQ(one.losses, three.losses);
    EXPECT_EQ(one.gradient, three.gradient);
    for (int64_t t = 0; t < n; ++t) {
      double sum_p = 0, sum_q = 0, kl = 0, sum = 0;
      for (int64_t i = 0; i < columns; ++i) {
        sum_p += std::exp(student[t * columns + i] / 0.9);
        sum_q += std::exp(teacher[t * columns + i] / 0.9);
      }
      const auto ratio = [&](int64_t i) {
        return (student[t * columns + i] - teacher[t * columns + i]) / 0.9 - std::log(sum_p) +
               std::log(sum_q);
      };
      const auto p = [&](int64_t i) { return std::exp(student[t * columns + i] / 0.9) / sum_p; };
      for (int64_t i = 0; i < columns; ++i) kl += p(i) * ratio(i);
      EXPECT_NEAR(one.losses[t], kl, 1e-4);
      for (int64_t i = 0; i < columns; ++i) {
        EXPECT_NEAR(one.gradient[t * columns + i], p(i) * (ratio(i) - kl) / 0.9, 1e-4);
        sum += one.gradient[t * columns + i];
      }
      EXPECT_NEAR(sum, 0.0, 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, ObjectiveTest,
                         testing::Values(Isa::reference, supported_isas().back()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

}  // namespace
}  // namespace minke
