#include "post/grpo_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/random.h"

namespace minke {
namespace {

GrpoCounts counts_of(std::span<const GrpoSequence> minibatch) {
  GrpoCounts counts;
  for (const GrpoSequence& sequence : minibatch) counts.add(sequence);
  return counts;
}

using Json = nlohmann::json;

GrpoLossConfig options_of(const Json& entry) {
  GrpoLossConfig options;
  options.clip_low = entry["clip"][0];
  options.clip_high = entry["clip"][1];
  options.kl_coefficient = entry["beta"];
  options.unbiased_kl = entry.value("unbiased", false);
  options.off_policy_threshold = entry.value("delta", 0.0);
  options.importance_cap = entry.value("cap", 2.0);
  const std::string type = entry["loss_type"];
  options.normalization = type == "grpo"   ? LossNormalization::sequence
                          : type == "dapo" ? LossNormalization::token
                                           : LossNormalization::constant;
  return options;
}

std::vector<GrpoSequence> sequences_of(const Json& golden, const Json& entry) {
  const auto advantages =
      group_advantages(golden["rewards"].get<std::vector<double>>(), AdvantageScale::deviation);
  std::vector<GrpoSequence> sequences(advantages.size());
  for (size_t i = 0; i < sequences.size(); ++i) {
    sequences[i].advantage = advantages[i];
    sequences[i].old = golden["old"][i].get<std::vector<float>>();
    sequences[i].reference = golden["reference"][i].get<std::vector<float>>();
    if (entry.contains("cap"))
      sequences[i].rollout = golden["rollout"][i].get<std::vector<float>>();
    for (const int64_t filtered : entry.value("filtered", std::vector<int64_t>()))
      sequences[i].filtered |= filtered == static_cast<int64_t>(i);
  }
  return sequences;
}

// tests/golden/grpo.json is PyTorch's, by tools/make_grpo_golden.py.
TEST(GrpoLoss, LossAndGradientArePyTorchs) {
  const Json golden = Json::parse(read_file(fs::path(MINKE_SOURCE_DIR) / "tests/golden/grpo.json"));
  for (const Json& entry : golden["cases"]) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    auto sequences = sequences_of(golden, entry);
    const GrpoLossConfig options = options_of(entry);
    const GrpoLoss loss(options, golden["constant_length"], counts_of(sequences));
    GrpoSums sums;
    bool masked = false;
    for (size_t i = 0; i < sequences.size(); ++i) {
      EXPECT_NEAR(sequences[i].advantage, golden["advantages"][i], 1e-12);
      const auto log_pi = golden["log_pi"][i].get<std::vector<float>>();
      sequences[i].masked = is_off_policy(options, sequences[i], log_pi);
      masked |= sequences[i].masked;
      for (size_t t = 0; t < log_pi.size(); ++t)
        EXPECT_NEAR(loss.token(sequences[i], t, log_pi[t], sums), entry["gradient"][i][t], 1e-6)
            << i << ", " << t;
    }
    EXPECT_NEAR(sums.loss, entry["loss"], 1e-6);
    EXPECT_EQ(masked, entry.contains("delta"));
  }
}

constexpr double constant_length = 6;

// The objective as the papers write it, one token at a time.
double scalar_loss(const GrpoLossConfig& o, const std::vector<GrpoSequence>& sequences,
                   const std::vector<std::vector<double>>& log_pi) {
  double total = 0.0, tokens = 0.0;
  for (const GrpoSequence& s : sequences) tokens += s.filtered ? 0.0 : s.tokens();
  for (size_t i = 0; i < sequences.size(); ++i) {
    const GrpoSequence& s = sequences[i];
    if (s.filtered) continue;
    double sum = 0.0;
    for (size_t t = 0; t < s.old.size(); ++t) {
      const double ratio = std::exp(log_pi[i][t] - s.old[t]);
      const double bounded = std::min(std::max(ratio, 1 - o.clip_low), 1 + o.clip_high);
      const double weight =
          s.rollout.empty() ? 1.0
                            : std::min(std::exp(double(s.old[t]) - s.rollout[t]), o.importance_cap);
      const double d = s.reference[t] - log_pi[i][t];
      const double kl = (std::exp(d) - d - 1) * (o.unbiased_kl ? ratio : 1.0);
      sum += o.kl_coefficient * kl - weight * std::min(ratio * s.advantage, bounded * s.advantage);
    }
    const double answers = static_cast<double>(sequences.size());
    total += o.normalization == LossNormalization::sequence ? sum / s.old.size() / answers
             : o.normalization == LossNormalization::token  ? sum / tokens
                                                            : sum / (answers * constant_length);
  }
  return total;
}

std::vector<GrpoSequence> random_sequences(uint64_t seed) {
  Random random(seed);
  std::vector<GrpoSequence> sequences(5);
  for (GrpoSequence& s : sequences) {
    s.advantage = random.normal();
    const size_t tokens = 1 + random.below(6);
    for (size_t t = 0; t < tokens; ++t) {
      s.old.push_back(static_cast<float>(-2 + random.normal()));
      s.reference.push_back(static_cast<float>(s.old.back() + 0.3 * random.normal()));
      s.rollout.push_back(static_cast<float>(s.old.back() + 0.5 * random.normal()));
    }
  }
  sequences[3].filtered = true;
  return sequences;
}

TEST(GrpoLoss, GradientIsTheSlopeOfTheScalarLoss) {
  constexpr double step = 1e-4;
  for (uint64_t seed = 0; seed < 24; ++seed) {
    GrpoLossConfig options;
    options.clip_high = 0.28;
    options.kl_coefficient = seed % 2 ? 0.05 : 0.0;
    options.unbiased_kl = seed % 4 >= 2;
    options.normalization = static_cast<LossNormalization>(seed % 3);
    auto sequences = random_sequences(seed);
    if (seed % 5 == 0)
      for (GrpoSequence& s : sequences) s.rollout.clear();
    const GrpoLoss loss(options, constant_length, counts_of(sequences));
    Random random(seed, 1);
    std::vector<std::vector<double>> log_pi(sequences.size());
    for (size_t i = 0; i < sequences.size(); ++i)
      for (const float old : sequences[i].old)
        log_pi[i].push_back(static_cast<float>(old + 0.4 * random.normal()));
    GrpoSums sums;
    for (size_t i = 0; i < sequences.size(); ++i) {
      for (size_t t = 0; t < log_pi[i].size(); ++t) {
        const double gradient = loss.token(sequences[i], t, log_pi[i][t], sums);
        auto more = log_pi, less = log_pi;
        more[i][t] += step;
        less[i][t] -= step;
        const double slope =
            (scalar_loss(options, sequences, more) - scalar_loss(options, sequences, less)) /
            (2 * step);
        const double ratio = std::exp(log_pi[i][t] - sequences[i].old[t]);
        const bool corner = std::abs(ratio - 0.8) < 1e-3 || std::abs(ratio - 1.28) < 1e-3;
        if (corner) continue;
        EXPECT_NEAR(gradient, slope, 1e-5) << seed << ": " << i << ", " << t;
      }
    }
    EXPECT_NEAR(sums.loss, scalar_loss(options, sequences, log_pi), 1e-9);
  }
}

TEST(GrpoLoss, EqualRewardsAndGroupsOfOneTeachNothing) {
  for (const AdvantageScale scale : {AdvantageScale::deviation, AdvantageScale::none}) {
    for (const auto& rewards : {std::vector<double>(16, 0.1), std::vector<double>(16, 0.0),
                                std::vector<double>{3.5}, std::vector<double>{}})
      for (const double advantage : group_advantages(rewards, scale)) EXPECT_EQ(advantage, 0.0);
  }
  GrpoSequence sequence;
  sequence.old = {-1.0f, -2.0f};
  const std::vector<GrpoSequence> all{sequence};
  GrpoSums sums;
  for (int64_t t = 0; t < 2; ++t)
    EXPECT_EQ(GrpoLoss({}, 8, counts_of(all)).token(sequence, t, -1.5, sums), 0.0);
  EXPECT_EQ(sums.clipped, 0);
}

TEST(GrpoLoss, DividesByTheDeviationOrNot) {
  const std::vector<double> rewards{1, 0, 0, 0};
  const auto paper = group_advantages(rewards, AdvantageScale::deviation);
  EXPECT_NEAR(paper[0], 0.75 / (0.5 + 1e-6), 1e-12);
  EXPECT_NEAR(paper[1], -0.25 / (0.5 + 1e-6), 1e-12);
  EXPECT_EQ(group_advantages(rewards, AdvantageScale::none),
            (std::vector<double>{0.75, -0.25, -0.25, -0.25}));
}

TEST(GrpoLoss, CountsCorrectionsAtTheCap) {
  GrpoSequence sequence;
  sequence.advantage = 1;
  sequence.old = {-1.0f, -1.0f, -1.0f};
  sequence.rollout = {-1.5f, -3.0f, -0.5f};  // e^0.5, e^2, e^-0.5
  const std::vector<GrpoSequence> all{sequence};
  GrpoSums sums;
  const GrpoLoss loss({}, 8, counts_of(all));
  for (int64_t t = 0; t < 3; ++t) loss.token(sequence, t, -1.0, sums);
  EXPECT_EQ(sums.capped, 1);
}

// All answers filtered: nothing to divide by, and nothing to learn.
TEST(GrpoLoss, FilteredAnswersCountForNothing) {
  GrpoSequence sequence;
  sequence.advantage = -1;
  sequence.filtered = true;
  sequence.old = {-1.0f};
  for (const auto normalization :
       {LossNormalization::sequence, LossNormalization::token, LossNormalization::constant}) {
    GrpoLossConfig options;
    options.normalization = normalization;
    const std::vector<GrpoSequence> all{sequence};
    GrpoSums sums;
    EXPECT_EQ(GrpoLoss(options, 8, counts_of(all)).token(sequence, 0, -1.0, sums), 0.0);
    EXPECT_EQ(sums.loss, 0.0);
    EXPECT_EQ(sums.tokens, 0);
  }
}

}  // namespace
}  // namespace minke
