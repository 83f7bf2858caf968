#include "model/model_source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "config/parameters.h"
#include "config/presets.h"
#include "model/gguf_config.h"
#include "model/gguf_names.h"
#include "tensor/dtype.h"
#include "text/gguf_tokenizer.h"

namespace minke {
namespace {

const fs::path golden = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden";

// f32 or bf16, in the order of the matrix's rows.
std::vector<float> values_of(const StoredMatrix& matrix) {
  std::vector<float> values;
  for (int64_t r = 0; r < matrix.rows; ++r)
    for (int64_t c = 0; c < matrix.columns; ++c) {
      float wide = 0;
      BFloat16 narrow{};
      if (matrix.format == BlockFormat::f32) {
        std::memcpy(&wide, matrix.row(r) + c * 4, 4);
      } else {
        EXPECT_EQ(matrix.format, BlockFormat::bf16);
        std::memcpy(&narrow, matrix.row(r) + c * 2, 2);
        wide = to_float(narrow);
      }
      values.push_back(wide);
    }
  return values;
}

// What llama.cpp's converter would write, from the sources' values.
std::vector<float> convert(const ModelSource& source, const GgufTensorPlan& plan) {
  const ModelConfig& c = source.config();
  std::vector<float> values;
  for (const std::string& name : plan.sources) {
    const std::vector<float> more = values_of(*source.find(name));
    values.insert(values.end(), more.begin(), more.end());
  }
  if (plan.form == GgufForm::plain || plan.form == GgufForm::expert) return values;
  std::vector<float> out;
  const int64_t rank = c.kv_lora_rank, nope = c.qk_nope_head_dim, v = c.v_head_dim;
  if (plan.form == GgufForm::permuted) {  // per head [2, half] -> [half, 2], as the converter does
    const int64_t width = static_cast<int64_t>(values.size()) / plan.shape[0];
    const int64_t half = plan.shape[0] / plan.heads / 2;
    for (int64_t h = 0; h < plan.heads; ++h)
      for (int64_t i = 0; i < half; ++i)
        for (const int64_t part : {0, 1})
          for (int64_t k = 0; k < width; ++k)
            out.push_back(values[((h * 2 + part) * half + i) * width + k]);
    return out;
  }
  for (int64_t h = 0; h < plan.heads; ++h) {
    const float* head = values.data() + h * (nope + v) * rank;
    if (plan.form == GgufForm::k_b)
      for (int64_t k = 0; k < rank; ++k)
        for (int64_t n = 0; n < nope; ++n) out.push_back(head[n * rank + k]);
    else
      out.insert(out.end(), head + nope * rank, head + (nope + v) * rank);
  }
  return out;
}

class GgufModel : public testing::Test {
 protected:
  ~GgufModel() override { fs::remove_all(path_.parent_path()); }

  void write(const ModelSource& source) {
    const ModelConfig& config = source.config();
    GgufMetadata metadata;
    add_gguf_config(config, "test", metadata);
    const std::vector<GgufTensorPlan> plans = list_gguf_tensors(config);
    std::vector<GgufDeclaration> declarations;
    declarations.reserve(plans.size() + 1);
    for (const GgufTensorPlan& plan : plans)
      declarations.push_back({plan.name, BlockFormat::f32, plan.shape});
    const std::vector<float> factors = llama3_frequency_factors(config);
    if (!factors.empty())
      declarations.push_back(
          {"rope_freqs.weight", BlockFormat::f32, {static_cast<int64_t>(factors.size())}});
    GgufWriter writer(path_, metadata, declarations);
    const auto add = [&](const std::string& name, const std::vector<float>& values) {
      writer.write(name, values.data(), static_cast<int64_t>(values.size() * 4));
    };
    for (const GgufTensorPlan& plan : plans) add(plan.name, convert(source, plan));
    if (!factors.empty()) add("rope_freqs.weight", factors);
    writer.commit();
  }

  std::string error_of(const GgufMetadata& metadata,
                       const std::vector<GgufDeclaration>& declarations = {}) {
    GgufWriter writer(path_, metadata, declarations);
    for (const GgufDeclaration& tensor : declarations) {
      int64_t size = 1;
      for (const int64_t extent : tensor.shape) size *= extent;
      const std::vector<float> zeros(static_cast<size_t>(size));
      writer.write(tensor.name, zeros.data(), size * 4);
    }
    writer.commit();
    try {
      ModelSource::open(path_);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path path_ =
      fs::temp_directory_path() / fmt::format("minke-source-{}", ::getpid()) / "m.gguf";
};

// What GGUF files have no place for.
std::string comparable(ModelConfig config, const ModelConfig& original) {
  config.initializer_range = original.initializer_range;
  config.unknown_keys = original.unknown_keys;
  config.torch_dtype = original.torch_dtype;
  config.bos_token_id = original.bos_token_id;
  config.eos_token_id = original.eos_token_id;
  config.rope_scaling.attention_factor = original.rope_scaling.attention_factor;
  config.rope_scaling.attn_factor = original.rope_scaling.attn_factor;
  return write_model_config(config);
}

TEST_F(GgufModel, HasTheConfigAndWeightsOfTheDirectory) {
  int models = 0;
  for (const auto& entry : fs::directory_iterator(golden / "models")) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    const ModelSource directory = ModelSource::open(entry.path());
    SCOPED_TRACE(entry.path().filename().string());
    const RopeScaling& scaling = directory.config().rope_scaling;
    if (directory.config().is_mla() && scaling.factor != 1 &&
        scaling.mscale != scaling.mscale_all_dim) {
      EXPECT_THROW(write(directory), Error);  // GGUF files have one number for both
      continue;
    }
    write(directory);
    const ModelSource file = ModelSource::open(path_);
    ModelConfig config = file.config();
    EXPECT_NEAR(config.rms_norm_eps, directory.config().rms_norm_eps, 1e-12);
    EXPECT_NEAR(config.routed_scaling_factor, directory.config().routed_scaling_factor, 1e-6);
    config.rms_norm_eps = directory.config().rms_norm_eps;  // floats in the file
    config.routed_scaling_factor = directory.config().routed_scaling_factor;
    EXPECT_EQ(comparable(config, directory.config()), write_model_config(directory.config()));
    for (const Parameter& parameter : list_parameters(file.config())) {
      if (parameter.kind == ParameterKind::tied ||
          parameter.name.ends_with("self_attn.kv_b_proj.weight"))
        continue;
      EXPECT_EQ(values_of(file.get(parameter.name, parameter.shape)),
                values_of(directory.get(parameter.name, parameter.shape)))
          << parameter.name;
    }
    ++models;
  }
  EXPECT_GE(models, 13);
}

TEST_F(GgufModel, LatentAttentionsHalvesTogetherAreKvB) {
  const ModelSource directory = ModelSource::open(golden / "models" / "v3");
  write(directory);
  const ModelSource file = ModelSource::open(path_);
  const ModelConfig& c = file.config();
  const std::string prefix = "model.layers.1.self_attn.";
  EXPECT_FALSE(file.contains(prefix + "kv_b_proj.weight"));
  const std::vector<int64_t> k_shape = {c.num_attention_heads * c.kv_lora_rank, c.qk_nope_head_dim};
  const std::vector<int64_t> v_shape = {c.num_attention_heads * c.v_head_dim, c.kv_lora_rank};
  const std::vector<float> k = values_of(file.get(prefix + "k_b_proj.weight", k_shape));
  const std::vector<float> v = values_of(file.get(prefix + "v_b_proj.weight", v_shape));
  const std::vector<float> kv = values_of(*directory.find(prefix + "kv_b_proj.weight"));
  const int64_t rank = c.kv_lora_rank, nope = c.qk_nope_head_dim, width = nope + c.v_head_dim;
  for (int64_t h = 0; h < c.num_attention_heads; ++h)
    for (int64_t r = 0; r < rank; ++r) {
      for (int64_t n = 0; n < nope; ++n)
        EXPECT_EQ(k[(h * rank + r) * nope + n], kv[(h * width + n) * rank + r]);
      for (int64_t n = 0; n < c.v_head_dim; ++n)
        EXPECT_EQ(v[(h * c.v_head_dim + n) * rank + r], kv[(h * width + nope + n) * rank + r]);
    }
}

TEST(GgufNames, AreThoseOfThePackageGguf) {
  const auto expected = nlohmann::json::parse(read_file(golden / "gguf" / "names.json"));
  for (const auto& [architecture, names] : expected.items()) {
    ModelConfig config;
    config.model_type = architecture == "llama"   ? ModelType::llama
                        : architecture == "qwen2" ? ModelType::qwen2
                        : architecture == "qwen3" ? ModelType::qwen3
                                                  : ModelType::deepseek_v3;
    for (const auto& [hf, gguf] : names.items()) {
      std::string name = hf;
      if (const size_t at = name.find("experts.gate"); at == std::string::npos)
        for (const char* part : {"mlp.experts.up", "mlp.experts.down"})
          if (const size_t found = name.find(part); found != std::string::npos)
            name.insert(found + 12, "7.");
      if (const size_t at = name.find("mlp.experts.gate"); at != std::string::npos)
        name.insert(at + 12, "7.");
      const auto place = gguf_place(config, name);
      ASSERT_TRUE(place.has_value()) << name;
      EXPECT_EQ(place->tensor, gguf.get<std::string>()) << name;
      EXPECT_EQ(place->form == GgufForm::expert, name != hf) << name;
    }
  }
  for (const char* name :
       {"", "model.layers.x.mlp.gate.weight", "model.layers.1", "rotary",
        "model.layers.1.mlp.experts.2.gate_proj.bias", "model.layers.1.x.weight"})
    EXPECT_FALSE(gguf_place({}, name).has_value()) << name;
}

TEST(GgufConfig, OfThePublishedModels) {
  const fs::path path = fs::temp_directory_path() / fmt::format("minke-config-{}.gguf", ::getpid());
  for (const char* name : {"deepseek-v3", "deepseek-v2", "deepseek-v2-lite"}) {
    ModelConfig c = model_preset(name);
    GgufMetadata metadata;
    add_gguf_config(c, name, metadata);
    GgufWriter writer(path, metadata,
                      {{"token_embd.weight", BlockFormat::f32, {c.vocab_size, 1}},
                       {"output.weight", BlockFormat::f32, {1}}});
    const std::vector<float> zeros(static_cast<size_t>(c.vocab_size));
    writer.write("token_embd.weight", zeros.data(), c.vocab_size * 4);
    writer.write("output.weight", zeros.data(), 4);
    writer.commit();
    ModelConfig read = read_gguf_config(GgufReader(path));
    c.num_nextn_predict_layers = 0;  // the file has no tensors of it
    read.rms_norm_eps = c.rms_norm_eps;
    EXPECT_EQ(comparable(read, c), write_model_config(c)) << name;
  }
  fs::remove(path);
}

// Metadata as converters wrote it before attention.key_length_mla and the groups.
TEST_F(GgufModel, OlderMetadata) {
  GgufMetadata m;
  m.add("general.architecture", "deepseek2");
  const auto add = [&](const char* key, uint32_t value) {
    m.add(std::string("deepseek2.") + key, value);
  };
  add("block_count", 61), add("context_length", 163840), add("embedding_length", 16);
  add("feed_forward_length", 32), add("attention.head_count", 2), add("attention.head_count_kv", 2);
  add("attention.key_length", 24), add("attention.value_length", 16);
  add("attention.kv_lora_rank", 8), add("rope.dimension_count", 8);
  add("leading_dense_block_count", 3), add("expert_count", 256), add("expert_used_count", 8);
  add("expert_shared_count", 1), add("expert_feed_forward_length", 8);
  m.add("deepseek2.attention.layer_norm_rms_epsilon", 1e-6f);
  m.add("deepseek2.expert_weights_norm", true);
  const std::vector<GgufDeclaration> tensors = {
      {"token_embd.weight", BlockFormat::f32, {10, 16}},
      {"output.weight", BlockFormat::f32, {10, 16}},
      {"blk.3.exp_probs_b.bias", BlockFormat::f32, {256}}};
  EXPECT_EQ(error_of(m, tensors), "no error");
  const ModelConfig c = ModelSource::open(path_).config();
  EXPECT_EQ(c.model_type, ModelType::deepseek_v3);
  EXPECT_EQ(c.qk_nope_head_dim, 16);
  EXPECT_EQ(c.v_head_dim, 16);
  EXPECT_EQ(c.q_lora_rank, 0);
  EXPECT_EQ(c.n_group, 8);
  EXPECT_EQ(c.topk_group, 4);
  EXPECT_EQ(c.num_nextn_predict_layers, 0);
  EXPECT_EQ(c.rope_scaling.factor, 1.0);
}

TEST_F(GgufModel, BringsItsTokenizerAndChatTemplate) {
  const TokenizerDefinition definition = read_tokenizer(golden / "tokenizer_small");
  for (const int64_t rows : {1000, 999}) {
    ModelConfig c = ModelSource::open(golden / "models" / "v3").config();
    c.vocab_size = rows;
    GgufMetadata metadata;
    add_gguf_config(c, "test", metadata);
    add_gguf_tokenizer(definition, 1000, metadata);
    metadata.add("tokenizer.chat_template", "<｜User｜>");
    EXPECT_EQ(error_of(metadata, {{"token_embd.weight", BlockFormat::f32, {rows, 1}}}), "no error");
    const ModelSource source = ModelSource::open(path_);
    if (rows < 1000) {
      EXPECT_THROW(source.tokenizer(), Error);
      continue;
    }
    const Tokenizer tokenizer = source.tokenizer();
    EXPECT_EQ(tokenizer.encode("Hello 中文 123"), Tokenizer(definition).encode("Hello 中文 123"));
    EXPECT_EQ(source.chat_template(tokenizer).name(), "deepseek_v3");
  }
}

TEST_F(GgufModel, SaysWhatIsWrong) {
  const auto contains = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  GgufMetadata m;
  contains(error_of(m), "general.architecture is missing");
  m.add("general.architecture", "llama");
  contains(error_of(m), "llama.embedding_length is missing");
  for (const char* key : {"embedding_length", "block_count"})
    m.add(std::string("llama.") + key, 16u);
  m.add("llama.attention.head_count", 0u);
  contains(error_of(m), "head_count is 0");
  GgufMetadata large;
  large.add("general.architecture", "qwen2");
  large.add("qwen2.embedding_length", uint64_t{1} << 40);
  contains(error_of(large), "expected at most 2147483647");
  GgufMetadata other;
  other.add("general.architecture", "gemma");
  contains(error_of(other), "\"gemma\"; Minke has deepseek2");
  GgufMetadata many;
  ModelConfig experts = ModelSource::open(golden / "models" / "v3").config();
  experts.num_hidden_layers = 1024;
  experts.n_routed_experts = 4096;
  add_gguf_config(experts, "test", many);
  contains(error_of(many, {{"token_embd.weight", BlockFormat::f32, {experts.vocab_size, 1}}}),
           "its files have 1 matrices in all");
  GgufMetadata partial;
  partial.add("general.architecture", "qwen2");
  for (const char* key : {"embedding_length", "context_length", "feed_forward_length"})
    partial.add(std::string("qwen2.") + key, 16u);
  partial.add("qwen2.block_count", 1u);
  partial.add("qwen2.attention.head_count", 2u);
  partial.add("qwen2.attention.layer_norm_rms_epsilon", 1e-6f);
  partial.add("qwen2.rope.dimension_count", 4u);
  contains(error_of(partial, {{"token_embd.weight", BlockFormat::f32, {10, 16}}}),
           "qwen2.rope.dimension_count is 4, expected 8");
  GgufMetadata biased;
  ModelConfig plain = ModelSource::open(golden / "models" / "llama").config();
  add_gguf_config(plain, "test", biased);
  contains(error_of(biased, {{"token_embd.weight", BlockFormat::f32, {plain.vocab_size, 1}},
                             {"blk.1.attn_q.bias", BlockFormat::f32, {4}}}),
           "'blk.1.attn_q.bias' is F32 [4], and a llama with this configuration has none");
  const ModelSource source = ModelSource::open(golden / "models" / "llama");
  EXPECT_THROW(source.get("nothing", std::vector<int64_t>{1}), Error);
  EXPECT_THROW(source.get("model.norm.weight", std::vector<int64_t>{1}), Error);
  EXPECT_FALSE(source.is_gguf());
  EXPECT_EQ(source.chat_template_text(), "");
}

}  // namespace
}  // namespace minke
