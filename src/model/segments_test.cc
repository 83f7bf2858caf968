// Documents of unequal length in one micro-batch: each row as if its document were alone, and, bit
// for bit, as inference computes it.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "config/model_fields.h"
#include "kernels/loss.h"
#include "model/loaded_model.h"

namespace minke {
namespace {

ModelConfig small_config(ModelType type) {
  ModelConfig config = model_defaults(type);
  config.vocab_size = 61;
  config.hidden_size = 40;
  config.intermediate_size = 52;
  config.num_hidden_layers = 2;
  config.max_position_embeddings = 256;
  if (config.is_mla()) {
    config.moe_intermediate_size = 20;
    config.num_nextn_predict_layers = 1;
    config.ngram_vocab_size = 31;
    config.max_ngram_size = 3;
    config.first_k_dense_replace = 1;
    config.num_attention_heads = 3;
    config.n_routed_experts = 8;
    config.n_shared_experts = 1;
    config.num_experts_per_tok = 3;
    config.n_group = 4;
    config.topk_group = 2;
    config.q_lora_rank = 18;
    config.kv_lora_rank = 14;
    config.qk_nope_head_dim = 10;
    config.qk_rope_head_dim = 6;
    config.v_head_dim = 12;
  } else {
    config.num_attention_heads = 6;
    config.num_key_value_heads = 3;
    config.head_dim = 14;
  }
  return config;
}

constexpr int64_t lengths[] = {5, 1, 130, 33};  // rows; one passes an attention block's keys
constexpr int64_t capacity = 180;

// Random documents; every third target has weight 0.
struct Documents {
  explicit Documents(int64_t vocab) {
    Random random(3);
    for (const int64_t length : lengths) {
      auto& document = tokens.emplace_back();
      for (int64_t i = 0; i <= length; ++i)
        document.push_back(static_cast<int32_t>(random.below(vocab)));
      auto& weight = weights.emplace_back(static_cast<size_t>(length), 1.0f);
      for (size_t i = 0; i < weight.size(); ++i) weight[i] = i % 3 == 1 ? 0.0f : 0.5f * (i % 4 + 1);
    }
  }
  TrainingSegment segment(size_t i, bool weighted) const {
    return {lengths[i], tokens[i],
            weighted ? std::span<const float>(weights[i]) : std::span<const float>()};
  }
  TrainingBatch all(bool weighted) const {
    TrainingBatch batch;
    for (size_t i = 0; i < tokens.size(); ++i) batch.push_back(segment(i, weighted));
    return batch;
  }
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> weights;
};

struct Model {
  Model(const ModelConfig& config, DType compute, bool recompute = false)
      : options{compute, true, recompute, capacity, 130} {
    Arena counting = Arena::counting();
    const Weights planned_weights(config, counting, true);
    const Transformer planned(config, planned_weights, counting, options);
    arena = Arena(counting.used());
    weights = std::make_unique<Weights>(config, arena, true);
    initialize_weights(*weights, 0.2, 6);
    transformer = std::make_unique<Transformer>(config, *weights, arena, options);
    transformer->refresh();
  }
  std::vector<float> log_probabilities(const TrainingBatch& batch, double temperature) const {
    TargetLogProbability objective(batch_rows(batch), temperature);
    transformer->evaluate(batch, objective);
    return objective.log_probabilities();
  }
  void clear_gradients() const {
    std::fill_n(weights->flat_gradients().as<float>(), weights->flat_gradients().size(), 0.0f);
  }
  std::vector<float> gradients() const {
    const float* flat = weights->flat_gradients().as<float>();
    return {flat, flat + weights->flat_gradients().size()};
  }
  double step(const TrainingBatch& batch) const {
    CrossEntropy objective(0.01);
    return transformer->forward_backward(batch, objective, {0.01, 0.3, 0.0, 1.0}).main;
  }

  ModelOptions options;
  Arena arena = Arena::counting();
  std::unique_ptr<Weights> weights;
  std::unique_ptr<Transformer> transformer;
};

// log π of each target by the engine's forward pass, all documents in one batch.
std::vector<float> inferred(const Model& model, const Documents& documents, double temperature) {
  const FlatSource source(*model.weights);
  LoadOptions options;
  options.compute = model.options.compute;
  options.max_tokens = 256;
  options.cache_tokens = 8 * page_tokens;
  options.quiet = true;
  LoadedModel loaded(model.transformer->config(), source, options);
  std::vector<std::vector<int32_t>> pages = {{6}, {2}, {5, 0, 7}, {1}};
  std::vector<BatchSegment> segments;
  std::vector<int32_t> inputs, targets;
  for (size_t i = 0; i < documents.tokens.size(); ++i) {
    const auto& document = documents.tokens[i];
    const int64_t begin = static_cast<int64_t>(inputs.size());
    segments.push_back({begin, begin + lengths[i], 0, pages[i], AttentionForm::expanded});
    inputs.insert(inputs.end(), document.begin(), document.end() - 1);
    targets.insert(targets.end(), document.begin() + 1, document.end());
  }
  const int64_t count = static_cast<int64_t>(inputs.size());
  std::vector<int32_t> rows(inputs.size());
  std::iota(rows.begin(), rows.end(), 0);
  const Tensor logits = loaded.forward(inputs, segments, rows);
  scale_logits(logits, 1.0f / static_cast<float>(temperature));
  std::vector<float> values(inputs.size()), log_sums(inputs.size());
  target_log_probabilities(
      {Tensor(values.data(), DType::f32, {count}), Tensor(log_sums.data(), DType::f32, {count})},
      logits, Tensor(targets.data(), DType::i32, {count}));
  return values;
}

class Segments : public testing::TestWithParam<ModelType> {
 protected:
  ModelConfig config_ = small_config(GetParam());
  Documents documents_{config_.vocab_size};
};

TEST_P(Segments, HaveTheBitsOfInference) {
  for (const DType compute : {DType::f32, DType::bf16})
    for (const double temperature : {1.0, 0.6}) {
      const Model model(config_, compute);
      const auto trained = model.log_probabilities(documents_.all(false), temperature);
      EXPECT_EQ(trained, inferred(model, documents_, temperature))
          << dtype_name(compute) << " at temperature " << temperature;
      for (const float x : trained) ASSERT_LT(x, 0.0f);
    }
}

TEST_P(Segments, HaveTheBitsOfEachDocumentAlone) {
  const Model model(config_, DType::bf16);
  const auto together = model.log_probabilities(documents_.all(true), 1.0);
  std::vector<float> alone;
  for (size_t i = 0; i < documents_.tokens.size(); ++i)
    for (const float x : model.log_probabilities({documents_.segment(i, true)}, 1.0))
      alone.push_back(x);
  EXPECT_EQ(together, alone);
  EXPECT_EQ(together[1], 0.0f);  // weight 0
}

// Gradients sum over rows in another order, so they are equal up to rounding.
TEST_P(Segments, GradientsAreTheSumOfEachDocuments) {
  for (const bool recompute : {false, true}) {
    const Model model(config_, DType::f32, recompute);
    model.clear_gradients();
    const double loss = model.step(documents_.all(true));
    const std::vector<float> together = model.gradients();
    model.clear_gradients();
    double sum = 0;
    for (size_t i = 0; i < documents_.tokens.size(); ++i)
      sum += model.step({documents_.segment(i, true)});
    const std::vector<float> alone = model.gradients();
    EXPECT_NEAR(loss, sum, 1e-4 * sum);
    double difference = 0, size = 0;
    for (size_t i = 0; i < alone.size(); ++i) {
      difference += std::pow(static_cast<double>(together[i]) - alone[i], 2);
      size += std::pow(static_cast<double>(alone[i]), 2);
    }
    EXPECT_GT(size, 0);
    EXPECT_LT(std::sqrt(difference / size), 1e-5);
  }
}

TEST_P(Segments, WithoutTheirTargetsGiveNothing) {
  const Model model(config_, DType::f32);
  model.clear_gradients();
  const std::vector<float> none(static_cast<size_t>(lengths[2]));
  EXPECT_EQ(model.step({{lengths[2], documents_.tokens[2], none}}), 0.0);
  for (const float x : model.gradients()) ASSERT_EQ(x, 0.0f);
}

TEST_P(Segments, SayWhatIsWrong) {
  const Model model(config_, DType::f32);
  const std::vector<int32_t> unknown = {1, 61}, negative = {-1, 2}, one = {1};
  const std::vector<int32_t> longer(140);
  EXPECT_THROW(model.step({{1, unknown}}), Error);
  EXPECT_THROW(model.step({{1, negative}}), Error);
  EXPECT_THROW(model.step({{1, one}}), Error);
  EXPECT_THROW(model.step({{139, longer}}), Error);  // more than the positions
  EXPECT_THROW(model.step({}), Error);
  TrainingBatch twice = documents_.all(false);
  for (const TrainingSegment& segment : documents_.all(false)) twice.push_back(segment);
  EXPECT_THROW(model.step(twice), Error);  // more than the rows
}

INSTANTIATE_TEST_SUITE_P(Types, Segments,
                         testing::Values(ModelType::deepseek_v3, ModelType::llama, ModelType::qwen2,
                                         ModelType::qwen3),
                         [](const auto& info) {
                           return std::string(
                               EnumNames<ModelType>::names[static_cast<size_t>(info.param)]);
                         });

}  // namespace
}  // namespace minke
