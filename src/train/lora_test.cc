// Training with adapters: their gradients against those of the whole matrices, what is merged and
// what stays, and the files.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <functional>

#include "base/random.h"
#include "base/threads.h"
#include "io/safetensors.h"
#include "kernels/isa.h"
#include "model/adapter_files.h"
#include "model/checkpoint.h"
#include "train/trainable_model.h"

namespace minke {
namespace {

// Sizes that no vector divides, and every bias that a family may have.
ModelConfig small_config(ModelType type) {
  ModelConfig config = model_defaults(type);
  config.vocab_size = 37;
  config.hidden_size = 24;
  config.intermediate_size = 44;
  config.num_hidden_layers = 2;
  config.max_position_embeddings = 64;
  if (config.is_mla()) {
    config.num_attention_heads = 3;
    config.moe_intermediate_size = 20;
    config.first_k_dense_replace = 1;
    config.n_routed_experts = 8;
    config.num_experts_per_tok = 3;
    config.n_group = 4;
    config.topk_group = 2;
    config.q_lora_rank = 18;
    config.kv_lora_rank = 14;
    config.qk_nope_head_dim = 10;
    config.qk_rope_head_dim = 6;
    config.v_head_dim = 12;
    config.num_nextn_predict_layers = 1;
  } else {
    config.num_attention_heads = 6;
    config.num_key_value_heads = 3;
    config.head_dim = 14;
    config.attention_bias = config.mlp_bias = type == ModelType::llama;
  }
  return config;
}

class LoraTest : public testing::TestWithParam<ModelType> {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("minke-lora-{}-{}", static_cast<int>(GetParam()), getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "model");
    const ModelConfig config = small_config(GetParam());
    Arena arena(1 << 22);
    const Weights weights(config, arena, false);
    initialize_weights(weights, 0.2, 6);
    Random random(3);
    for (const Parameter& parameter : weights.parameters())
      for (int64_t i = 0; parameter.kind == ParameterKind::bias && i < parameter.size(); ++i)
        weights.weight(parameter.name).as<float>()[i] = static_cast<float>(0.2 * random.normal());
    save_weights(folder_ / "model", config, weights, DType::f32);
    source_ = std::make_unique<ModelSource>(ModelSource::open(folder_ / "model"));
    for (int i = 0; i < 2 * (length + 2); ++i)
      windows_.push_back(static_cast<int32_t>(random.below(37)));
  }
  void TearDown() override { fs::remove_all(folder_); }

  TrainableOptions options(int64_t rank, ComputeDType compute = ComputeDType::f32) const {
    TrainableOptions options;
    options.model = source_->config();
    options.compute = compute;
    options.tokens = 2 * length;
    options.max_positions = length;
    options.optimizer.learning_rate = 1e-2;
    options.lora.rank = rank;
    options.lora.alpha = 5;
    return options;
  }
  std::unique_ptr<TrainableModel> make(const TrainableOptions& options) const {
    auto model = std::make_unique<TrainableModel>(options, *group_);
    model->load(*source_);
    return model;
  }
  TrainingBatch batch() const { return window_batch(windows_, length + 2, length); }
  void backward(TrainableModel& model) const {
    CrossEntropy objective(1.0 / (2 * length));
    model.begin_step();
    model.forward_backward(batch(), objective, {1.0 / (2 * length), 0.3, 0.01, 1.0});
  }
  void train(TrainableModel& model, int steps) const {
    for (int i = 0; i < steps; ++i) {
      backward(model);
      model.apply({});
    }
  }
  // Weights that were written into it take effect, unchanged.
  static void take_weights(TrainableModel& model) {
    model.begin_step();
    model.apply({.learning_rate_factor = 0.0});
  }
  // B is not 0 any more.
  static void randomize(const TrainableModel& model) {
    const Tensor& flat = model.adapters()->weights().flat_weights();
    Random random(8);
    for (int64_t i = 0; i < flat.size(); ++i)
      flat.as<float>()[i] = static_cast<float>(0.2 * random.normal());
  }
  std::string error_of(const std::function<void()>& call) const {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  static constexpr int64_t length = 7;
  fs::path folder_;
  std::unique_ptr<ModelSource> source_;
  std::unique_ptr<Group> group_ = make_local_group();
  std::vector<int32_t> windows_;
};

std::vector<float> copy(const Tensor& x) { return {x.as<float>(), x.as<float>() + x.size()}; }

// c [n, m] = aᵀ·b or a·bᵀ in double.
double dot(const Tensor& a, int64_t i, bool columns_of_a, const Tensor& b, int64_t j,
           bool columns_of_b, int64_t count) {
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    const float x = columns_of_a ? a.row<float>(k)[i] : a.row<float>(i)[k];
    const float y = columns_of_b ? b.row<float>(k)[j] : b.row<float>(j)[k];
    sum += static_cast<double>(x) * y;
  }
  return sum;
}

double largest(const Tensor& x) {
  double most = 0;
  for (const float value : copy(x)) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

// dA = s·Bᵀ·dW and dB = s·dW·Aᵀ, with dW of a model whose whole weights train and are the merged
// ones.
TEST_P(LoraTest, GradientsFollowFromThoseOfTheWholeMatrices) {
  const Isa before = active_isa();
  for (const Isa isa : supported_isas())
    for (const ComputeDType compute : {ComputeDType::f32, ComputeDType::bf16})
      for (const int64_t rank : {1, 3}) {
        set_active_isa(isa);
        const auto lora = make(options(rank, compute)), whole = make(options(0, compute));
        randomize(*lora);
        take_weights(*lora);
        const Tensor& merged = lora->weights().flat_weights();
        std::copy_n(merged.as<float>(), merged.size(), whole->weights().flat_weights().as<float>());
        take_weights(*whole);
        backward(*lora);
        backward(*whole);
        const double scale = 5.0 / static_cast<double>(rank);
        const double tolerance = compute == ComputeDType::f32 ? 1e-4 : 0.05;
        const Weights& adapters = lora->adapters()->weights();
        for (const Parameter& matrix : lora->adapters()->matrices()) {
          const std::string a_name = lora_name(matrix.name, 'A'),
                            b_name = lora_name(matrix.name, 'B');
          const Tensor a = adapters.weight(a_name), da = adapters.gradient({a_name});
          const Tensor b = adapters.weight(b_name), db = adapters.gradient({b_name});
          const Tensor dw = whole->weights().gradient({matrix.name});
          const int64_t out = dw.rows(), in = dw.columns();
          const double da_tolerance = tolerance * (largest(da) + largest(dw));
          const double db_tolerance = tolerance * (largest(db) + largest(dw));
          for (int64_t i = 0; i < rank; ++i) {
            for (int64_t j = 0; j < in; ++j)
              ASSERT_NEAR(da.row<float>(i)[j], scale * dot(b, i, true, dw, j, true, out),
                          da_tolerance)
                  << a_name << " " << isa_name(isa);
            for (int64_t o = 0; o < out; ++o)
              ASSERT_NEAR(db.row<float>(o)[i], scale * dot(dw, o, false, a, i, false, in),
                          db_tolerance)
                  << b_name << " " << isa_name(isa);
          }
        }
        EXPECT_GT(largest(adapters.flat_gradients()), 1e-4);
      }
  set_active_isa(before);
}

// The slope of the loss along a direction of all A and B at once.
TEST_P(LoraTest, GradientsEqualCentralDifferences) {
  const Isa before = active_isa();
  set_active_isa(Isa::reference);
  TrainableOptions settings = options(3);
  settings.model.num_nextn_predict_layers = 0;
  const auto model = make(settings);
  randomize(*model);
  take_weights(*model);
  const auto loss = [&] {
    CrossEntropy objective(1.0);
    return model->evaluate(batch(), objective) / (2 * length);
  };
  CrossEntropy objective(1.0 / (2 * length));
  model->begin_step();
  model->forward_backward(batch(), objective, {});
  const Weights& adapters = model->adapters()->weights();
  const std::vector<float> gradient = copy(adapters.flat_gradients());
  const std::vector<float> values = copy(adapters.flat_weights());
  double slope = 0;
  for (const float g : gradient) slope += static_cast<double>(g) * g;
  const auto loss_at = [&](double step) {
    for (size_t i = 0; i < values.size(); ++i)
      adapters.flat_weights().as<float>()[i] = static_cast<float>(values[i] + step * gradient[i]);
    take_weights(*model);
    return loss();
  };
  const double step = 2e-3 / std::sqrt(slope);
  EXPECT_NEAR((loss_at(step) - loss_at(-step)) / (2 * step), slope, 0.02 * slope);
  set_active_isa(before);
}

TEST_P(LoraTest, BeginsAsTheBaseAndLeavesTheRestAsItWas) {
  const auto base = make(options(0)), model = make(options(3));
  const std::vector<float> before = copy(base->weights().flat_weights());
  EXPECT_EQ(copy(model->weights().flat_weights()), before);
  EXPECT_EQ(model->log_probabilities(batch()), base->log_probabilities(batch()));
  train(*model, 3);
  for (const Parameter& parameter : base->weights().parameters()) {
    if (parameter.kind == ParameterKind::tied) continue;
    const bool adapted = parameter.kind == ParameterKind::matrix &&
                         model->adapters()->weights().contains(lora_name(parameter.name, 'A'));
    EXPECT_EQ(copy(model->weights().weight(parameter.name)) ==
                  copy(base->weights().weight(parameter.name)),
              !adapted)
        << parameter.name;
  }
}

TEST_P(LoraTest, MergedWeightsAreTheBaseAndTheProduct) {
  const auto base = make(options(0)), model = make(options(3));
  randomize(*model);
  take_weights(*model);
  const Weights& adapters = model->adapters()->weights();
  for (const Parameter& matrix : model->adapters()->matrices()) {
    const Tensor a = adapters.weight(lora_name(matrix.name, 'A'));
    const Tensor b = adapters.weight(lora_name(matrix.name, 'B'));
    const Tensor w = base->weights().weight(matrix.name);
    const Tensor merged = model->weights().weight(matrix.name);
    for (int64_t o = 0; o < w.rows(); ++o)
      for (int64_t j = 0; j < w.columns(); ++j)
        ASSERT_NEAR(merged.row<float>(o)[j],
                    w.row<float>(o)[j] + 5.0 / 3 * dot(b, o, false, a, j, true, 3), 1e-6);
  }
}

TEST_P(LoraTest, LearnsWithEitherOptimizerAndTheSameBitsForAnyThreads) {
  for (const OptimizerKind kind : {OptimizerKind::adamw, OptimizerKind::muon}) {
    std::vector<float> first;
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      TrainableOptions settings = options(2, ComputeDType::bf16);
      settings.optimizer.kind = kind;
      const auto model = make(settings);
      CrossEntropy objective(0.0);
      const double before = model->evaluate(batch(), objective);
      train(*model, 8);
      EXPECT_LT(model->evaluate(batch(), objective), before - 1.0);
      if (first.empty()) first = copy(model->weights().flat_weights());
      EXPECT_EQ(copy(model->weights().flat_weights()), first) << threads;
    }
  }
  set_thread_count(2);
}

TEST_P(LoraTest, ResumesBitForBitAndSavesWhatItComputes) {
  const auto whole = make(options(3));
  train(*whole, 2);
  TrainPosition position;
  position.step = position.updates = 2;
  save_checkpoint(folder_, position, whole->checkpoint_content({}), 1);
  const std::vector<float> saved = whole->log_probabilities(batch());
  train(*whole, 2);

  const fs::path checkpoint = checkpoint_folder(folder_, 2);
  const auto second = make(options(3));
  EXPECT_EQ(second->resume(checkpoint).step, 2);
  EXPECT_EQ(second->log_probabilities(batch()), saved);
  train(*second, 2);
  EXPECT_EQ(copy(second->weights().flat_weights()), copy(whole->weights().flat_weights()));

  // The merged model by itself, and the adapter on the base.
  const ModelSource merged = ModelSource::open(checkpoint / "model");
  TrainableModel alone(options(0), *group_);
  alone.load(merged);
  EXPECT_EQ(alone.log_probabilities(batch()), saved);
  TrainableOptions again = options(3);
  again.lora.adapter = checkpoint / "adapter";
  EXPECT_EQ(make(again)->log_probabilities(batch()), saved);
  EXPECT_THROW(make(options(0))->resume(checkpoint), Error);
}

TEST_P(LoraTest, AdaptersHavePeftsNamesAndWrongOnesAreNamed) {
  TrainableOptions settings = options(3);
  settings.lora.targets = "o_proj, down_proj";
  const auto model = make(settings);
  const fs::path adapter = folder_ / "adapter";
  fs::create_directories(adapter);
  save_adapter(adapter, *model->adapters(), "base");
  const SafetensorsReader file(adapter / "adapter_model.safetensors");
  const std::vector<int64_t> shape = {24, 3};
  file.get("base_model.model.model.layers.0.self_attn.o_proj.lora_B.weight", shape);
  EXPECT_FALSE(file.find("base_model.model.model.layers.2.self_attn.o_proj.lora_B.weight"));
  EXPECT_FALSE(file.find("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"));

  const auto error_with = [&](const std::function<void(LoraConfig&)>& change) {
    TrainableOptions other = settings;
    other.lora.adapter = adapter;
    change(other.lora);
    return error_of([&] { make(other); });
  };
  EXPECT_EQ(error_with([](LoraConfig&) {}), "");
  EXPECT_NE(error_with([](LoraConfig& c) { c.rank = 4; }).find("r is 3, expected 4"),
            std::string::npos);
  EXPECT_NE(error_with([](LoraConfig& c) { c.alpha = 6; }).find("lora_alpha is 5.0, expected 6.0"),
            std::string::npos);
  EXPECT_NE(error_with([](LoraConfig& c) { c.targets = "o_proj"; }).find("leaves out"),
            std::string::npos);
  EXPECT_NE(error_with([](LoraConfig& c) { c.targets = "all-linear"; }).find("lora_A"),
            std::string::npos);
  EXPECT_NE(error_with([](LoraConfig& c) { c.targets = "king"; }).find("'king'"),
            std::string::npos);
  EXPECT_NE(error_with([](LoraConfig& c) { c.adapter = "nowhere"; }).find("nowhere"),
            std::string::npos);
  write_file(adapter / "adapter_config.json", "[]");
  EXPECT_NE(error_with([](LoraConfig&) {}).find("no JSON object"), std::string::npos);
}

// Merged weights, but neither gradients nor moments of them. That the plan suffices every other
// test shows, as the arena has that size.
TEST_P(LoraTest, ThePlanHasNoGradientsOfTheBase) {
  const TrainingMemory whole = TrainableModel::plan_memory(options(0));
  const TrainingMemory lora = TrainableModel::plan_memory(options(1));
  const auto model = make(options(1));
  EXPECT_EQ(model->memory_plan().weights, lora.weights);
  const int64_t weights = 4 * model->weights().flat_weights().size();
  const int64_t adapters = 4 * model->adapters()->weights().flat_weights().size();
  EXPECT_NEAR(static_cast<double>(lora.optimizer), 2.0 * adapters, 256);
  EXPECT_GE(lora.weights, weights + 2 * adapters);
  EXPECT_LT(lora.weights + lora.optimizer, whole.weights + whole.optimizer);
  EXPECT_EQ(lora.model, whole.model);
}

std::string family_name(const testing::TestParamInfo<ModelType>& info) {
  constexpr std::array<const char*, 5> names = {"deepseek_v2", "deepseek_v3", "llama", "qwen2",
                                                "qwen3"};
  return names[static_cast<size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Family, LoraTest,
                         testing::Values(ModelType::deepseek_v3, ModelType::llama,
                                         ModelType::qwen2),
                         family_name);

}  // namespace
}  // namespace minke
