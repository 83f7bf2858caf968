#include "model/quantized_source.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/threads.h"
#include "kernels/blocks.h"

namespace minke {
namespace {

// A DeepSeek model with a dense and an expert layer. Rows of q_b and kv_b are no whole blocks.
ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 96;
  config.hidden_size = 256;
  config.intermediate_size = 64;
  config.moe_intermediate_size = 32;
  config.num_hidden_layers = 2;
  config.first_k_dense_replace = 1;
  config.num_attention_heads = 4;
  config.n_routed_experts = 4;
  config.num_experts_per_tok = 2;
  config.n_group = config.topk_group = 1;
  config.q_lora_rank = 16;
  config.kv_lora_rank = 16;
  config.qk_nope_head_dim = config.qk_rope_head_dim = config.v_head_dim = 8;
  return config;
}

struct Fixture {
  explicit Fixture(const ModelConfig& model = small_config()) : config(model) {
    Arena counting = Arena::counting();
    const Weights planned(config, counting, false);
    arena = Arena(counting.used());
    weights = std::make_unique<Weights>(config, arena, false);
    initialize_weights(*weights, 0.1, 3);
    source = std::make_unique<FlatSource>(*weights);
  }
  BlockFormat format(const QuantizedSource& quantized, std::string_view name) const {
    const StoredMatrix matrix = *quantized.find(name);
    EXPECT_EQ(matrix.format == BlockFormat::f32, matrix.data == source->find(name)->data);
    return matrix.format;
  }

  ModelConfig config;
  Arena arena = Arena::counting();
  std::unique_ptr<Weights> weights;
  std::unique_ptr<FlatSource> source;
};

// What quantize_row() makes of the trainer's rows.
std::vector<std::byte> expected_bytes(const StoredMatrix& from, BlockFormat format) {
  std::vector<std::byte> bytes(
      static_cast<size_t>(block_format_bytes(format, from.rows * from.columns)));
  quantize_row(format, reinterpret_cast<const float*>(from.data), from.rows * from.columns,
               bytes.data());
  return bytes;
}

std::vector<std::byte> bytes_of(const StoredMatrix& matrix) {
  return {matrix.data, matrix.data + matrix.rows * matrix.row_bytes()};
}

void expect_quantized(const Fixture& f, const QuantizedSource& quantized) {
  int64_t matrices = 0;
  for (const Parameter& parameter : list_parameters(f.config)) {
    const StoredMatrix is = *quantized.find(parameter.name), was = *f.source->find(parameter.name);
    EXPECT_EQ(is.rows, was.rows);
    EXPECT_EQ(is.columns, was.columns);
    if (is.format == BlockFormat::f32) continue;
    EXPECT_EQ(bytes_of(is), expected_bytes(was, is.format)) << parameter.name;
    ++matrices;
  }
  EXPECT_GT(matrices, 20);
}

TEST(QuantizedSource, TakesTheFormatsOfTheQuantizeCommand) {
  const Fixture f;
  for (const auto& [type, most, head] :
       {std::tuple(QuantizationType::q8_0, BlockFormat::q8_0, BlockFormat::q8_0),
        {QuantizationType::q4_0, BlockFormat::q4_0, BlockFormat::q6_k}}) {
    const QuantizedSource quantized(f.config, *f.source, type);
    for (const char* name :
         {"self_attn.q_a_proj", "self_attn.kv_a_proj_with_mqa", "self_attn.o_proj",
          "mlp.experts.3.gate_proj", "mlp.experts.0.down_proj", "mlp.shared_experts.up_proj"})
      EXPECT_EQ(f.format(quantized, fmt::format("model.layers.1.{}.weight", name)), most) << name;
    EXPECT_EQ(f.format(quantized, "lm_head.weight"), head);
    for (const char* name :
         {"model.embed_tokens.weight", "model.norm.weight", "model.layers.1.mlp.gate.weight",
          "model.layers.1.mlp.gate.e_score_correction_bias",
          "model.layers.1.input_layernorm.weight", "model.layers.1.self_attn.q_b_proj.weight",
          "model.layers.1.self_attn.kv_b_proj.weight"})
      EXPECT_EQ(f.format(quantized, name), BlockFormat::f32) << name;
    EXPECT_FALSE(quantized.find("model.layers.9.mlp.gate.weight").has_value());
  }
}

TEST(QuantizedSource, AnEmbeddingIsQuantizedWhereItIsTheHead) {
  ModelConfig config = small_config();
  config.tie_word_embeddings = true;
  const Fixture f(config);
  const QuantizedSource quantized(f.config, *f.source, QuantizationType::q8_0);
  EXPECT_EQ(f.format(quantized, "model.embed_tokens.weight"), BlockFormat::q8_0);
}

TEST(QuantizedSource, HasTheBytesOfEachRowAndFollowsTheWeights) {
  for (const QuantizationType type : {QuantizationType::q8_0, QuantizationType::q4_0}) {
    const Fixture f;
    QuantizedSource quantized(f.config, *f.source, type);
    EXPECT_EQ(quantized.find("lm_head.weight")->data, nullptr);
    quantized.refresh();
    expect_quantized(f, quantized);
    const StoredMatrix head = *quantized.find("lm_head.weight");
    const std::vector<std::byte> before = bytes_of(head);
    const Tensor& flat = f.weights->flat_weights();
    for (int64_t i = 0; i < flat.size(); ++i) flat.as<float>()[i] *= 1.0f + 0.01f * (i % 7);
    quantized.refresh();
    expect_quantized(f, quantized);
    EXPECT_EQ(quantized.find("lm_head.weight")->data, head.data);
    EXPECT_NE(bytes_of(head), before);
  }
}

TEST(QuantizedSource, SameBytesForAnyThreads) {
  const Fixture f;
  const auto bytes = [&](int threads) {
    set_thread_count(threads);
    QuantizedSource quantized(f.config, *f.source, QuantizationType::q4_0);
    quantized.refresh();
    return bytes_of(*quantized.find("model.layers.0.mlp.down_proj.weight"));
  };
  const auto one = bytes(1);
  EXPECT_EQ(bytes(3), one);
  set_thread_count(2);
}

}  // namespace
}  // namespace minke
