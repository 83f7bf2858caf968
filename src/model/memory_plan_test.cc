#include "model/memory_plan.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "config/presets.h"
#include "model/inspect.h"
#include "model/loaded_model.h"

namespace minke {
namespace {

const fs::path golden = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden" / "models";

// A model's tensors without data, all in one format.
class EmptySource : public WeightSource {
 public:
  EmptySource(const ModelConfig& config, BlockFormat format) : format_(format) {
    for (const Parameter& parameter : list_parameters(config))
      shapes_[parameter.name] = parameter.shape;
  }
  std::optional<StoredMatrix> find(std::string_view name) const override {
    const auto found = shapes_.find(name);
    if (found == shapes_.end()) return std::nullopt;
    const std::vector<int64_t>& shape = found->second;
    if (shape.size() == 1) return StoredMatrix{BlockFormat::f32, 1, shape[0], nullptr};
    return StoredMatrix{format_, shape[0], shape[1], nullptr};
  }
  std::string where() const override { return "nowhere"; }

 private:
  BlockFormat format_;
  std::map<std::string, std::vector<int64_t>, std::less<>> shapes_;
};

// DeepSeek-V2-Lite without all of its layers.
ModelConfig lite(int64_t layers) {
  ModelConfig config = model_preset("deepseek-v2-lite");
  config.num_hidden_layers = layers;
  return config;
}

LoadOptions with_context(int64_t tokens) {
  LoadOptions options;
  options.max_tokens = tokens;
  return options;
}

// Layers · (512 + 64) numbers of two bytes: 31,104 for V2-Lite and 70,272 for V3.
TEST(MemoryPlan, CacheBytesOfLatentAttention) {
  const ModelConfig config = lite(27);
  const EmptySource source(config, BlockFormat::bf16);
  const MemoryPlan plan = plan_memory(config, source, DType::bf16, with_context(4096), "lite");
  EXPECT_EQ(plan.cache_bytes_per_token(), 31104);
  EXPECT_EQ(plan.cache, 31104 * 4096);
  EXPECT_EQ(plan.pages, 64);
  // Two bytes for each weight but the embedding's, and a little more; W_UK and W_UV lie twice.
  const double weights =
      2.0 * static_cast<double>(count_parameters(config) - config.vocab_size * config.hidden_size);
  EXPECT_GT(static_cast<double>(plan.weights), weights);
  EXPECT_LT(static_cast<double>(plan.weights), 1.02 * weights);

  ModelConfig v3 = model_preset("deepseek-v3");
  v3.n_routed_experts = 8;  // the cache has none of it
  v3.num_nextn_predict_layers = 0;
  const EmptySource large(v3, BlockFormat::f8_e4m3);
  EXPECT_EQ(plan_memory(v3, large, DType::bf16, with_context(64), "v3").cache_bytes_per_token(),
            70272);
}

TEST(MemoryPlan, IsWhatALoadedModelTakes) {
  for (const char* name : {"v3", "llama", "qwen3_yarn"}) {
    const ModelSource source = ModelSource::open(golden / name);
    LoadOptions options = with_context(16);
    options.quiet = true;
    const MemoryPlan plan =
        plan_memory(source.config(), source, source.dtype(), options, source.where());
    EXPECT_EQ(LoadedModel(golden / name, options).planned_bytes(), plan.total());
    options.max_tokens = source.config().max_position_embeddings + 1;
    EXPECT_THROW(plan_memory(source.config(), source, source.dtype(), options, "x"), Error);
  }
}

// Where packed weights do not fit, they stay in the files: less memory, the same bits.
TEST(MemoryPlan, WeightsAreMappedWhereMemoryIsShort) {
  for (const char* name : {"v3", "llama", "qwen3_yarn"}) {
    LoadOptions options = with_context(64);
    options.quiet = true;
    options.drafts = true;
    LoadedModel packed(golden / name, options);
    EXPECT_FALSE(packed.has_mapped_weights());
    options.memory_bytes = packed.planned_bytes() - 1;
    LoadedModel mapped(golden / name, options);
    EXPECT_TRUE(mapped.has_mapped_weights());
    EXPECT_LE(mapped.planned_bytes(), options.memory_bytes);

    const std::vector<int32_t> tokens = {1, 5, 2, 7}, pages = {0}, rows = {0, 3};
    const std::vector<BatchSegment> segments = {{0, 4, 0, pages, AttentionForm::expanded}};
    const Tensor want = packed.forward(tokens, segments, rows);
    const Tensor got = mapped.forward(tokens, segments, rows);
    EXPECT_EQ(std::memcmp(want.data, got.data, static_cast<size_t>(want.bytes())), 0) << name;

    options.memory_bytes = 1000;
    try {
      LoadedModel(golden / name, options);
      FAIL();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("GiB, it may take 0.00 GiB"), std::string::npos);
    }
  }
}

TEST(MemoryPlan, SaysWhatWouldFit) {
  const ModelConfig config = lite(3);
  const EmptySource source(config, BlockFormat::bf16);
  const auto total = [&](int64_t tokens, bool mapped = false) {
    return plan_memory(config, source, DType::bf16, with_context(tokens), "lite", mapped).total();
  };
  const int64_t bytes = total(5000, true);
  EXPECT_LT(bytes, total(64));  // packed weights alone are more
  const int64_t context = largest_context(config, source, DType::bf16, {}, bytes);
  EXPECT_EQ(context, 4992);  // whole pages
  EXPECT_LE(total(context, true), bytes);
  EXPECT_GT(total(context + 64, true), bytes);
  EXPECT_EQ(largest_context(config, source, DType::bf16, {}, int64_t{1} << 40),
            config.max_position_embeddings);

  const LoadOptions options = with_context(64);
  const int64_t smaller = total(64) * 7 / 10;
  EXPECT_EQ(largest_context(config, source, DType::bf16, options, 1000), 0);
  const auto q8 = fitting_quantization(config, source, DType::bf16, options, smaller);
  ASSERT_TRUE(q8.has_value());
  EXPECT_EQ(q8->type, QuantizationType::q8_0);
  const auto q4 = fitting_quantization(config, source, DType::bf16, options, total(64) * 45 / 100);
  ASSERT_TRUE(q4.has_value());
  EXPECT_NE(q4->type, QuantizationType::q8_0);
  EXPECT_LE(q4->bytes, total(64) * 45 / 100);
  EXPECT_EQ(what_would_fit(config, source, DType::bf16, options, 1000),
            "neither a shorter context nor fewer bits would fit");
  const std::string advice = what_would_fit(config, source, DType::bf16, {}, bytes);
  EXPECT_NE(advice.find(fmt::format("a context of {} tokens fits", context)), std::string::npos)
      << advice;
}

TEST(Inspect, GroupsTheTensorsByKind) {
  const ModelSource source = ModelSource::open(golden / "v3");
  const ModelConfig& c = source.config();
  const std::vector<TensorEntry> tensors = list_stored_tensors(source);
  int64_t elements = 0, experts = 0;
  for (const TensorGroup& group : group_tensors(c, tensors)) {
    elements += group.elements;
    EXPECT_EQ(group.bytes, 4 * group.elements);
    if (group.kind == "mlp.experts.*.up_proj.weight" && !group.is_mtp) experts = group.tensors;
  }
  EXPECT_EQ(elements, count_parameters(c) + count_mtp_parameters(c));
  EXPECT_EQ(experts, c.n_routed_experts * (c.num_hidden_layers - c.first_k_dense_replace));
}

}  // namespace
}  // namespace minke
