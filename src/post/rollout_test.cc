#include "post/rollout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "post/tiny_model.h"
#include "train/trainable_model.h"

namespace minke {
namespace {

const std::vector<int32_t> prompt_a{5, 80, 81}, prompt_b{7, 90, 91, 92, 93, 94};

struct Fixture {
  explicit Fixture(bool exact, ComputeDType compute = ComputeDType::bf16)
      : source(ModelSource::open(files.model())),
        tokenizer(source.tokenizer()),
        group(make_local_group()) {
    TrainableOptions training;
    training.model = source.config();
    training.compute = compute;
    training.tokens = 256;
    training.max_positions = 128;
    model = std::make_unique<TrainableModel>(training, *group);
    model->load(source);
    weights = std::make_unique<FlatSource>(model->weights());
    options.max_prompt_tokens = 16;
    options.max_answer_tokens = 70;  // more than a page of keys
    options.sequences = 5;
    options.exact = exact;
    rollout = make_rollout();
  }
  std::unique_ptr<Rollout> make_rollout() const {
    return std::make_unique<Rollout>(source.config(), *weights, model->compute(), tokenizer,
                                     options);
  }
  void quantize(QuantizationType type) {
    options.quantization = type;
    rollout = make_rollout();
  }
  static std::vector<RolloutRequest> requests() {
    std::vector<RolloutRequest> all;
    for (uint64_t seed = 1; seed <= 8; ++seed)
      all.push_back({seed % 2 ? prompt_a : prompt_b, seed});
    return all;
  }
  // What the trainer's forward pass says of the answer's tokens.
  std::vector<float> trained(std::span<const int32_t> prompt, const Answer& answer, double t) {
    std::vector<int32_t> tokens(prompt.begin(), prompt.end());
    tokens.insert(tokens.end(), answer.tokens.begin(), answer.tokens.end());
    const int64_t rows = static_cast<int64_t>(tokens.size()) - 1;
    const TrainingBatch batch{{rows, tokens, {}}};
    const std::vector<float> all = model->log_probabilities(batch, t);
    return {all.begin() + static_cast<int64_t>(prompt.size()) - 1, all.end()};
  }

  TinyModel files{"rollout"};
  ModelSource source;
  Tokenizer tokenizer;
  std::unique_ptr<Group> group;
  std::unique_ptr<TrainableModel> model;
  std::unique_ptr<FlatSource> weights;
  RolloutOptions options;
  std::unique_ptr<Rollout> rollout;
};

TEST(Rollout, ExactLogProbabilitiesAreTheTrainersBitForBit) {
  for (const ComputeDType compute : {ComputeDType::f32, ComputeDType::bf16})
    for (const double temperature : {1.0, 0.7}) {
      Fixture f(true, compute);
      const auto requests = Fixture::requests();
      const auto answers = f.rollout->sample(requests, temperature);
      std::vector<GivenAnswer> given;
      for (size_t i = 0; i < answers.size(); ++i) {
        ASSERT_GT(answers[i].size(), 0);
        EXPECT_EQ(answers[i].log_probabilities,
                  f.trained(requests[i].prompt, answers[i], temperature));
        given.push_back({requests[i].prompt, answers[i].tokens});
      }
      const auto scores = f.rollout->score(given, temperature);
      for (size_t i = 0; i < answers.size(); ++i)
        EXPECT_EQ(answers[i].log_probabilities, scores[i]);
    }
}

TEST(Rollout, FastOnesAreCloseAndTheirScoresExact) {
  Fixture f(false, ComputeDType::f32);
  const auto requests = Fixture::requests();
  const auto answers = f.rollout->sample(requests, 1.0);
  double largest = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto trained = f.trained(requests[i].prompt, answers[i], 1.0);
    const std::vector<GivenAnswer> given{{requests[i].prompt, answers[i].tokens}};
    EXPECT_EQ(f.rollout->score(given, 1.0)[0], trained);
    for (size_t t = 0; t < trained.size(); ++t)
      largest = std::max(largest, std::abs(double(trained[t]) - answers[i].log_probabilities[t]));
  }
  EXPECT_LT(largest, 1e-3);
  EXPECT_GT(largest, 0.0);
}

TEST(Rollout, AnswersDependOnTheirSeedAlone) {
  Fixture f(true);
  auto requests = Fixture::requests();
  const auto together = f.rollout->sample(requests, 1.0);
  EXPECT_NE(together[0].tokens, together[2].tokens);
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto alone = f.rollout->sample({&requests[i], 1}, 1.0);
    EXPECT_EQ(alone[0].tokens, together[i].tokens);
    EXPECT_EQ(alone[0].log_probabilities, together[i].log_probabilities);
  }
}

TEST(Rollout, AfterRefreshNothingOfTheOldWeightsIsLeft) {
  for (const bool quantized : {false, true}) {
    Fixture f(!quantized);
    if (quantized) f.quantize(QuantizationType::q8_0);
    const auto requests = Fixture::requests();
    const auto before = f.rollout->sample(requests, 1.0);
    const Tensor& flat = f.model->weights().flat_weights();
    for (int64_t i = 0; i < flat.size(); ++i) flat.as<float>()[i] *= 1.25f;
    f.rollout->refresh();
    const auto after = f.rollout->sample(requests, 1.0);
    const auto fresh = f.make_rollout()->sample(requests, 1.0);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_NE(before[i].log_probabilities, after[i].log_probabilities);
      EXPECT_EQ(after[i].log_probabilities, fresh[i].log_probabilities);
    }
  }
}

// Fewer bits differ more from the trainer's model. The trainer's weights are not touched.
TEST(Rollout, QuantizedWeightsAreSampledWithOnly) {
  Fixture f(false);
  const auto requests = Fixture::requests();
  const auto drift = [&] {
    double sum = 0, tokens = 0;
    const auto answers = f.rollout->sample(requests, 1.0);
    for (size_t i = 0; i < answers.size(); ++i) {
      const auto trained = f.trained(requests[i].prompt, answers[i], 1.0);
      for (size_t t = 0; t < trained.size(); ++t)
        sum += std::abs(double(trained[t]) - answers[i].log_probabilities[t]);
      tokens += static_cast<double>(trained.size());
    }
    return sum / tokens;
  };
  const double plain = drift();
  f.quantize(QuantizationType::q8_0);
  const double eight_bits = drift();
  f.quantize(QuantizationType::q4_0);
  const double four_bits = drift();
  EXPECT_GT(eight_bits, plain);
  EXPECT_GT(four_bits, 2 * eight_bits);
  EXPECT_LT(four_bits, 0.2);
  const std::vector<GivenAnswer> given{{prompt_a, prompt_b}};
  EXPECT_THROW(f.rollout->score(given, 1.0), Error);
}

TEST(Rollout, QuantizedWeightsAreInTheMemoryPlan) {
  Fixture f(false);
  f.quantize(QuantizationType::q8_0);
  const QuantizedSource quantized(f.source.config(), *f.weights, QuantizationType::q8_0);
  EXPECT_GT(quantized.bytes(), 0);
  const int64_t needed = f.rollout->planned_bytes();
  f.options.memory_bytes = needed;
  EXPECT_EQ(f.make_rollout()->planned_bytes(), needed);
  f.options.memory_bytes = needed - 1;  // packed weights do not fit, mapped ones do
  EXPECT_LT(f.make_rollout()->planned_bytes(), needed);
  f.options.memory_bytes = quantized.bytes();
  EXPECT_THROW(f.make_rollout(), Error);
}

// The token that ends an answer is part of it; one that was cut off has none.
TEST(Rollout, EndsAreTold) {
  Fixture f(true);
  std::vector<RolloutRequest> requests;
  for (uint64_t seed = 1; seed <= 60; ++seed) requests.push_back({prompt_a, seed});
  int64_t ended = 0;
  for (const Answer& answer : f.rollout->sample(requests, 1.5)) {
    const bool eos = answer.tokens.back() == *f.tokenizer.eos_id();
    EXPECT_EQ(answer.truncated, !eos);
    EXPECT_EQ(answer.truncated, answer.size() == f.options.max_answer_tokens && !eos);
    EXPECT_EQ(answer.tokens.size(), answer.log_probabilities.size());
    ended += eos;
  }
  EXPECT_GT(ended, 0);
  EXPECT_LT(ended, 60);
}

// The text that ends it is no part of an answer, but its tokens were chosen and are trained.
TEST(Rollout, AStopStringEndsAnAnswer) {
  Fixture f(true);
  f.options.stop = "e";
  f.rollout = f.make_rollout();
  std::vector<RolloutRequest> requests;
  for (uint64_t seed = 1; seed <= 40; ++seed) requests.push_back({prompt_a, seed});
  int64_t stopped = 0;
  for (const Answer& answer : f.rollout->sample(requests, 1.0)) {
    EXPECT_EQ(answer.text.find('e'), std::string::npos) << answer.text;
    EXPECT_EQ(answer.log_probabilities, f.trained(prompt_a, answer, 1.0));
    const bool eos = answer.tokens.back() == *f.tokenizer.eos_id();
    if (eos || answer.truncated) continue;
    ++stopped;
    EXPECT_NE(f.tokenizer.decode(answer.tokens).find('e'), std::string::npos);
  }
  EXPECT_GT(stopped, 10);
}

}  // namespace
}  // namespace minke
