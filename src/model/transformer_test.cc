// The whole model's gradients against central differences on the scalar reference, for every kind
// of layer and gate; and the numerics contract.
#include "model/transformer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <cmath>
#include <functional>
#include <numeric>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/isa.h"
#include "model/loaded_model.h"

namespace minke {
namespace {

// Odd on purpose: three heads, an expert width that no vector divides, everything in one small
// model.
ModelConfig tiny_config() {
  ModelConfig config;
  config.vocab_size = 37;
  config.hidden_size = 24;
  config.intermediate_size = 44;
  config.moe_intermediate_size = 20;
  config.num_hidden_layers = 3;
  config.num_nextn_predict_layers = 0;
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
  config.max_position_embeddings = 64;
  return config;
}

// Three groups of two heads whose width no vector divides, RoPE scaling that touches some
// frequencies, and every bias that the family may have.
ModelConfig tiny_dense_config(ModelType type) {
  ModelConfig config = model_defaults(type);
  config.vocab_size = 37;
  config.hidden_size = 24;
  config.intermediate_size = 44;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 3;
  config.head_dim = 14;
  config.max_position_embeddings = 64;
  config.attention_bias = config.mlp_bias = type == ModelType::llama;
  config.rope_scaling.factor = 4;
  config.rope_scaling.original_max_position_embeddings = 16;
  return config;
}

struct Case {
  // NOLINTNEXTLINE(readability-identifier-naming): GoogleTest's name
  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

  std::string name;
  std::function<void(ModelConfig&)> change;
  bool recompute = false;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"v3", [](ModelConfig&) {}},
      {"recompute", [](ModelConfig&) {}, true},
      {"no_q_lora", [](ModelConfig& c) { c.q_lora_rank = 0; }, true},
      {"yarn",
       [](ModelConfig& c) {
         c.rope_scaling.factor = 4;
         c.rope_scaling.original_max_position_embeddings = 16;
       }},
      {"one_group", [](ModelConfig& c) { c.n_group = c.topk_group = 1; }},
      {"no_shared_experts", [](ModelConfig& c) { c.n_shared_experts = 0; }},
      {"mtp_2", [](ModelConfig& c) { c.num_nextn_predict_layers = 2; }, true},
      {"ngrams",
       [](ModelConfig& c) {
         c.ngram_vocab_size = 29;
         c.max_ngram_size = 3;
       }},
      {"tied", [](ModelConfig& c) { c.tie_word_embeddings = true; }},
      {"v2_greedy",
       [](ModelConfig& c) {
         c.model_type = ModelType::deepseek_v2;
         c.topk_method = TopkMethod::greedy;
         c.scoring_func = ScoringFunc::softmax;
         c.norm_topk_prob = false;
         c.routed_scaling_factor = 1.0;
       }},
      {"v2_grouped",
       [](ModelConfig& c) {
         c.model_type = ModelType::deepseek_v2;
         c.topk_method = TopkMethod::group_limited_greedy;
         c.scoring_func = ScoringFunc::softmax;
         c.norm_topk_prob = false;
         c.routed_scaling_factor = 16.0;
       }},
      {"llama", [](ModelConfig& c) { c = tiny_dense_config(ModelType::llama); }},
      {"llama_tied_one_key_head",
       [](ModelConfig& c) {
         c = tiny_dense_config(ModelType::llama);
         c.num_key_value_heads = 1;
         c.tie_word_embeddings = true;
       },
       true},
      {"qwen2", [](ModelConfig& c) { c = tiny_dense_config(ModelType::qwen2); }, true},
      {"qwen3", [](ModelConfig& c) { c = tiny_dense_config(ModelType::qwen3); }},
      {"qwen3_recompute", [](ModelConfig& c) { c = tiny_dense_config(ModelType::qwen3); }, true},
  };
  return all;
}

// A model with its memory, random weights and one batch of random windows.
struct Fixture {
  static constexpr int64_t sequences = 2, length = 7;

  Fixture(const ModelConfig& config, DType compute, bool recompute)
      : options{compute, true, recompute, sequences * length, length} {
    Arena counting = Arena::counting();
    const Weights planned_weights(config, counting, true);
    const Transformer planned(config, planned_weights, counting, options);
    arena = Arena(counting.used());
    weights = std::make_unique<Weights>(config, arena, true);
    initialize_weights(*weights, 0.2, 6);
    model = std::make_unique<Transformer>(config, *weights, arena, options);
    model->refresh();
    Random random(11);
    for (const Tensor& bias : model->expert_biases())
      for (int64_t i = 0; bias && i < bias.size(); ++i)
        bias.as<float>()[i] = static_cast<float>(0.01 * random.normal());
    for (const Parameter& parameter : weights->parameters())
      for (int64_t i = 0; parameter.kind == ParameterKind::bias && i < parameter.size(); ++i)
        weights->weight(parameter.name).as<float>()[i] = static_cast<float>(0.2 * random.normal());
    for (int64_t i = 0; i < sequences * window(); ++i)
      windows.push_back(static_cast<int32_t>(random.below(config.vocab_size)));
  }

  Transformer::StepOptions step() const { return {1.0 / (sequences * length), 0.3, 0.01, 1.0}; }
  int64_t window() const { return length + 1 + model->depth(); }
  Transformer::StepLosses step_losses() const {
    CrossEntropy objective(step().gradient_scale);
    return model->forward_backward(window_batch(windows, window(), length), objective, step());
  }
  // The scalar whose gradient forward_backward computes.
  double loss() {
    model->refresh();
    model->reset_expert_loads();
    const auto losses = step_losses();
    double sum = losses.main * step().gradient_scale + losses.balance;
    for (const double mtp : losses.mtp)
      sum += step().mtp_lambda / losses.mtp.size() * mtp * step().gradient_scale;
    loads = model->expert_loads();
    return sum;
  }
  void clear_gradients() {
    std::fill_n(weights->flat_gradients().as<float>(), weights->flat_gradients().size(), 0.0f);
  }

  ModelOptions options;
  Arena arena = Arena::counting();
  std::unique_ptr<Weights> weights;
  std::unique_ptr<Transformer> model;
  std::vector<int32_t> windows;
  std::vector<std::vector<int64_t>> loads;  // of the last loss()
};

// Runs the rest of a test on one implementation, then returns to the one before.
struct UseIsa {
  explicit UseIsa(Isa isa) : before(active_isa()) { set_active_isa(isa); }
  ~UseIsa() { set_active_isa(before); }
  Isa before;
};

class Gradients : public testing::TestWithParam<Case> {};

// For each parameter: the slope along a random direction. The loss jumps where a token changes its
// experts, so the step is made smaller until none does.
TEST(Transformer, PackingTellsHowMuchIsDone) {
  const Fixture f(tiny_config(), DType::f32, false);
  std::vector<double> shares;
  f.model->refresh([&](double share) { shares.push_back(share); });
  EXPECT_EQ(static_cast<int64_t>(shares.size()),
            tiny_config().num_hidden_layers + f.model->depth() + 1);
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_EQ(shares.back(), 1);
}

TEST_P(Gradients, EqualCentralDifferences) {
  const UseIsa reference(Isa::reference);
  ModelConfig config = tiny_config();
  GetParam().change(config);
  Fixture f(config, DType::f32, GetParam().recompute);
  f.clear_gradients();
  f.loss();
  const auto loads = f.loads;
  const int64_t size = f.weights->flat_gradients().size();
  const float* flat = f.weights->flat_gradients().as<float>();
  const std::vector<float> gradient(flat, flat + size);
  for (const Parameter& parameter : f.weights->parameters()) {
    if (parameter.kind == ParameterKind::tied || parameter.kind == ParameterKind::buffer) continue;
    Random random(5, hash_name(parameter.name));
    const int64_t begin = f.weights->offset(parameter.name);
    float* values = f.weights->flat_weights().as<float>() + begin;
    const std::vector<float> saved(values, values + parameter.size());
    std::vector<double> direction;
    double analytic = 0, norm = 0;
    for (int64_t i = 0; i < parameter.size(); ++i) {
      // Partly along the gradient, so that the slope is never lost in rounding.
      direction.push_back(0.02 * random.normal() + gradient[begin + i]);
      norm += direction.back() * direction.back();
    }
    bool same_experts = true;
    const auto loss_at = [&](double along) {
      for (int64_t i = 0; i < parameter.size(); ++i)
        values[i] = static_cast<float>(saved[i] + along * direction[i]);
      const double loss = f.loss();
      same_experts = same_experts && f.loads == loads;
      return loss;
    };
    double step = 1.6e-2 / std::sqrt(norm), numeric = 0;
    do {
      step /= 4;
      same_experts = true;
      numeric = (loss_at(step) - loss_at(-step)) / (2 * step);
    } while (!same_experts && step * std::sqrt(norm) > 1e-4);
    std::copy(saved.begin(), saved.end(), values);
    for (int64_t i = 0; i < parameter.size(); ++i) analytic += gradient[begin + i] * direction[i];
    EXPECT_NEAR(numeric / std::sqrt(norm), analytic / std::sqrt(norm),
                1e-3 + 1e-2 * std::abs(analytic) / std::sqrt(norm))
        << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Model, Gradients, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

// One model with latent attention, experts and a prediction module, and dense ones.
std::vector<ModelConfig> contract_configs() {
  ModelConfig mla = tiny_config();
  mla.num_nextn_predict_layers = 1;
  mla.ngram_vocab_size = 29;
  return {mla, tiny_dense_config(ModelType::llama), tiny_dense_config(ModelType::qwen3)};
}

class Contract : public testing::TestWithParam<ModelConfig> {};

// Fast paths agree with the reference: f32 closely, bf16 to its precision.
TEST_P(Contract, EveryInstructionSetAgreesWithTheReference) {
  const ModelConfig& config = GetParam();
  std::vector<float> expected;
  double expected_loss = 0;
  {
    const UseIsa reference(Isa::reference);
    Fixture f(config, DType::f32, false);
    f.clear_gradients();
    expected_loss = f.loss();
    const float* flat = f.weights->flat_gradients().as<float>();
    expected.assign(flat, flat + f.weights->flat_gradients().size());
  }
  double scale = 0;
  for (const float value : expected) scale = std::max(scale, std::abs(static_cast<double>(value)));
  for (const Isa isa : supported_isas())
    for (const DType compute : {DType::f32, DType::bf16}) {
      const UseIsa use(isa);
      Fixture f(config, compute, true);
      f.clear_gradients();
      const double tolerance = compute == DType::f32 ? 1e-4 : 0.1;
      EXPECT_NEAR(f.loss(), expected_loss, tolerance) << isa_name(isa);
      const float* flat = f.weights->flat_gradients().as<float>();
      double worst = 0;
      for (size_t i = 0; i < expected.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(flat[i]) - expected[i]));
      EXPECT_LT(worst / scale, 2 * tolerance) << isa_name(isa) << " " << dtype_name(compute);
    }
}

TEST_P(Contract, SameBitsForAnyNumberOfThreads) {
  const ModelConfig& config = GetParam();
  const int before = thread_count();
  for (const Isa isa : supported_isas()) {
    const UseIsa use(isa);
    std::vector<float> expected;
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      Fixture f(config, DType::bf16, false);
      f.clear_gradients();
      f.loss();
      const float* flat = f.weights->flat_gradients().as<float>();
      const std::vector<float> gradient(flat, flat + f.weights->flat_gradients().size());
      if (threads == 1) expected = gradient;
      EXPECT_EQ(gradient, expected) << isa_name(isa) << ", " << threads << " threads";
    }
  }
  set_thread_count(before);
}

INSTANTIATE_TEST_SUITE_P(Model, Contract, testing::ValuesIn(contract_configs()),
                         [](const auto& info) {
                           return std::string(info.param.is_mla() ? "mla" : "gqa") +
                                  std::to_string(info.index);
                         });

// Inference on the same weights, through pages in an order of their own.
struct Inference {
  Inference(const ModelConfig& config, const Weights& weights, DType compute)
      : source(weights), model(config, source, load_options(compute)) {}

  static LoadOptions load_options(DType compute) {
    LoadOptions options;
    options.compute = compute;
    options.max_tokens = 64;
    options.cache_tokens = 3 * page_tokens;
    options.batch_tokens = 16;
    options.quiet = true;
    return options;
  }
  // Logits of the rows of several segments.
  std::vector<float> run(std::span<const int32_t> tokens, std::vector<BatchSegment> segments) {
    std::vector<int32_t> all(tokens.size());
    std::iota(all.begin(), all.end(), 0);
    const Tensor logits = model.forward(tokens, std::move(segments), all);
    return std::vector<float>(logits.as<float>(), logits.as<float>() + logits.size());
  }
  // Of tokens that follow `past` others of one sequence.
  std::vector<float> run(std::span<const int32_t> tokens, int64_t past, AttentionForm form) {
    return run(tokens, {{0, static_cast<int64_t>(tokens.size()), past, pages[0], form}});
  }

  FlatSource source;
  LoadedModel model;
  std::vector<std::vector<int32_t>> pages = {{2}, {0}};  // of two sequences
};

TEST(Transformer, ChunksGiveTheBitsOfTheWholeAndAbsorbedIsClose) {
  for (const int64_t q_lora_rank : {18, 0}) {
    ModelConfig config = tiny_config();
    config.q_lora_rank = q_lora_rank;
    config.ngram_vocab_size = 29;
    config.max_ngram_size = 4;
    for (const DType compute : {DType::f32, DType::bf16}) {
      Fixture f(config, compute, false);
      const std::vector<int32_t> tokens(f.windows.begin(), f.windows.begin() + 8);
      const std::span<const int32_t> all(tokens);
      const auto whole =
          Inference(config, *f.weights, compute).run(all, 0, AttentionForm::expanded);
      Inference chunked(config, *f.weights, compute);
      std::vector<float> parts;
      int64_t past = 0;
      for (const auto& chunk : {all.subspan(0, 3), all.subspan(3, 1), all.subspan(4)}) {
        for (const float value : chunked.run(chunk, past, AttentionForm::expanded))
          parts.push_back(value);
        past += static_cast<int64_t>(chunk.size());
      }
      EXPECT_EQ(whole, parts);

      const auto absorbed =
          Inference(config, *f.weights, compute).run(all, 0, AttentionForm::absorbed);
      double worst = 0, largest = 0;
      for (size_t i = 0; i < whole.size(); ++i) {
        worst = std::max(worst, std::abs(static_cast<double>(whole[i]) - absorbed[i]));
        largest = std::max(largest, std::abs(static_cast<double>(whole[i])));
      }
      EXPECT_LT(worst / largest, compute == DType::f32 ? 1e-5 : 0.05);
    }
  }
}

// What the MTP module drafts from is what training made it predict.
TEST(Transformer, DraftsHaveTheLossOfTheTrainingPass) {
  ModelConfig config = tiny_config();
  config.num_nextn_predict_layers = 1;
  Fixture f(config, DType::f32, false);
  const double expected = f.step_losses().mtp[0];
  LoadOptions options = Inference::load_options(DType::f32);
  options.drafts = true;
  const FlatSource source(*f.weights);
  LoadedModel model(config, source, options);
  ASSERT_TRUE(model.has_drafts());
  const std::vector<int32_t> pages = {1};
  double loss = 0;
  for (int64_t s = 0; s < Fixture::sequences; ++s) {
    const std::span<const int32_t> window(f.windows.data() + s * f.window(),
                                          static_cast<size_t>(f.window()));
    std::vector<int32_t> rows(Fixture::length);
    std::iota(rows.begin(), rows.end(), 0);
    const BatchSegment segment{0, Fixture::length, 0, pages, AttentionForm::expanded};
    model.forward(window.first(Fixture::length), {segment}, {});
    const Tensor logits = model.draft(window.subspan(1, Fixture::length), {segment}, rows, rows);
    for (int64_t i = 0; i < Fixture::length; ++i) {
      const std::span<const float> row(logits.row<float>(i),
                                       static_cast<size_t>(config.vocab_size));
      double total = 0;
      for (const float x : row) total += std::exp(static_cast<double>(x));
      loss += std::log(total) - row[window[i + 2]];
    }
  }
  EXPECT_NEAR(loss, expected, 1e-4 * expected);
}

// Two sequences in one batch, one growing (absorbed) and one with a prompt, as each of them alone.
TEST(Transformer, ABatchGivesTheBitsOfEachSequenceAlone) {
  ModelConfig config = tiny_config();
  config.ngram_vocab_size = 29;
  for (const DType compute : {DType::f32, DType::bf16}) {
    Fixture f(config, compute, false);
    const std::span<const int32_t> all(f.windows);
    const auto first = all.subspan(0, 5), next = all.subspan(5, 1), second = all.subspan(6, 4);
    Inference alone(config, *f.weights, compute);
    alone.run(first, 0, AttentionForm::expanded);
    std::vector<float> expected = alone.run(next, 5, AttentionForm::absorbed);
    for (const float x :
         Inference(config, *f.weights, compute).run(second, 0, AttentionForm::expanded))
      expected.push_back(x);
    Inference together(config, *f.weights, compute);
    together.run(first, 0, AttentionForm::expanded);
    const std::vector<BatchSegment> batch = {{0, 1, 5, together.pages[0], AttentionForm::absorbed},
                                             {1, 5, 0, together.pages[1], AttentionForm::expanded}};
    EXPECT_EQ(together.run(all.subspan(5, 5), batch), expected);
  }
}

}  // namespace
}  // namespace minke
