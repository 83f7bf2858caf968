#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/threads.h"
#include "kernels/blocks.h"
#include "quant/formats.h"
#include "quant/rows.h"

namespace minke {
namespace {

using Type = QuantizationType;

BlockFormat format_of(Type type, const ModelConfig& config, const char* name,
                      std::vector<int64_t> shape) {
  return choose_gguf_format(type, config, name, shape).format;
}

TEST(GgufFormats, NormsRouterAndVectorsStayF32) {
  const ModelConfig config;
  for (const Type type : {Type::bf16, Type::q8_0, Type::q4_k_m}) {
    for (const char* name : {"output_norm.weight", "blk.3.attn_q_norm.weight"})
      EXPECT_EQ(format_of(type, config, name, {512}), BlockFormat::f32);
    EXPECT_EQ(format_of(type, config, "blk.3.ffn_gate_inp.weight", {8, 512}), BlockFormat::f32);
    EXPECT_EQ(format_of(type, config, "blk.3.exp_probs_b.bias", {8}), BlockFormat::f32);
  }
  EXPECT_EQ(format_of(Type::bf16, config, "output.weight", {8, 7}), BlockFormat::bf16);
}

// Layers with more bits of 16: 0, 1 | 4, 7, 10, 13 | 14, 15.
TEST(GgufFormats, TheMixOfLlamaCpp) {
  ModelConfig config = model_defaults(ModelType::llama);
  config.num_hidden_layers = 16;
  std::vector<int64_t> more;
  for (int64_t layer = 0; layer < 16; ++layer) {
    const auto in_layer = [&](const char* name) {
      return choose_gguf_format(Type::q4_k_m, config, fmt::format("blk.{}.{}.weight", layer, name),
                                std::vector<int64_t>{64, 512})
          .format;
    };
    if (in_layer("attn_v") == BlockFormat::q6_k) more.push_back(layer);
    EXPECT_EQ(in_layer("attn_v"), in_layer("ffn_down"));
    EXPECT_EQ(in_layer("attn_v"), in_layer("ffn_down_exps"));
    EXPECT_EQ(in_layer("attn_q"), BlockFormat::q4_k);
  }
  EXPECT_EQ(more, (std::vector<int64_t>{0, 1, 4, 7, 10, 13, 14, 15}));
  EXPECT_EQ(format_of(Type::q4_k_m, config, "output.weight", {64, 512}), BlockFormat::q6_k);
  EXPECT_EQ(format_of(Type::q4_0, config, "output.weight", {64, 512}), BlockFormat::q6_k);
  EXPECT_EQ(format_of(Type::q8_0, config, "output.weight", {64, 512}), BlockFormat::q8_0);
  EXPECT_EQ(format_of(Type::q4_k, config, "token_embd.weight", {64, 512}), BlockFormat::q4_k);
  config.tie_word_embeddings = true;
  EXPECT_EQ(format_of(Type::q4_k, config, "token_embd.weight", {64, 512}), BlockFormat::q6_k);
}

TEST(GgufFormats, RowsThatAreNoWholeBlocks) {
  ModelConfig config;
  config.num_hidden_layers = 27;
  const std::vector<int64_t> down = {2048, 1408};  // V2-Lite's experts
  const FormatChoice first =
      choose_gguf_format(Type::q4_k_m, config, "blk.1.ffn_down_exps.weight", down);
  EXPECT_EQ(first.format, BlockFormat::q8_0);
  EXPECT_TRUE(first.is_fallback);
  EXPECT_EQ(format_of(Type::q4_k_m, config, "blk.4.ffn_down_exps.weight", down), BlockFormat::q5_0);
  EXPECT_EQ(format_of(Type::q4_0, config, "blk.4.ffn_down_exps.weight", down), BlockFormat::q4_0);
  EXPECT_EQ(format_for_rows(BlockFormat::q5_k, 96).format, BlockFormat::q5_1);
  EXPECT_EQ(format_for_rows(BlockFormat::q4_k, 100).format, BlockFormat::f16);
  EXPECT_FALSE(format_for_rows(BlockFormat::q4_k, 512).is_fallback);
}

TEST(SafetensorsFormats, Fp8IsForTheLinearLayers) {
  const auto format = [](const char* name, size_t rank = 2) {
    return choose_safetensors_format(Type::f8, name, rank);
  };
  for (const char* name : {"model.layers.3.self_attn.q_a_proj.weight",
                           "model.layers.3.self_attn.kv_a_proj_with_mqa.weight",
                           "model.layers.3.mlp.experts.7.down_proj.weight"})
    EXPECT_EQ(format(name), BlockFormat::f8_e4m3) << name;
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight",
                           "model.layers.61.eh_proj.weight", "model.layers.3.mlp.gate.weight"})
    EXPECT_EQ(format(name), BlockFormat::bf16) << name;
  EXPECT_EQ(format("model.layers.0.self_attn.q_proj.bias", 1), BlockFormat::bf16);
  EXPECT_EQ(format("model.layers.3.mlp.gate.e_score_correction_bias", 1), BlockFormat::f32);
}

TEST(QuantizationTypes, AreKnownByName) {
  for (const char* name : {"f32", "f16", "bf16", "fp8", "q8_0", "q4_0", "q4_k", "q6_k", "q4_k_m"})
    EXPECT_EQ(quantization_name(parse_quantization(name)), name);
  EXPECT_THROW(parse_quantization("q3"), Error);
  EXPECT_THROW(choose_safetensors_format(Type::q4_0, "x", 2), Error);
  EXPECT_THROW(choose_gguf_format(Type::f8, {}, "output.weight", std::vector<int64_t>{2, 2}),
               Error);
  EXPECT_EQ(gguf_file_type(Type::q4_k_m), 15u);
}

// A matrix of waves, some rows larger than others.
std::vector<float> waves(int64_t rows, int64_t columns) {
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(static_cast<float>(i) * 0.37f) *
                static_cast<float>(1 + i / static_cast<size_t>(columns) % 5);
  return values;
}

struct Written {
  std::vector<std::byte> bytes;
  std::vector<float> scales;
  SquaredError error;
};

Written write(const RowSource& source, BlockFormat format) {
  Written written;
  written.error = quantize_rows(
      source, format,
      [&](std::span<const std::byte> bytes) {
        written.bytes.insert(written.bytes.end(), bytes.begin(), bytes.end());
      },
      written.scales);
  return written;
}

StoredMatrix matrix_of(const std::vector<float>& values, int64_t rows, int64_t columns) {
  return {BlockFormat::f32, rows, columns, reinterpret_cast<const std::byte*>(values.data())};
}

TEST(QuantizeRows, GivesTheBytesOfEachRowAndItsError) {
  const int64_t rows = 700, columns = 512;  // several tasks
  const std::vector<float> values = waves(rows, columns);
  const RowSource source({matrix_of(values, rows, columns)});
  for (const auto& [format, bound] : {std::pair(BlockFormat::q8_0, 0.01),
                                      {BlockFormat::q6_k, 0.03},
                                      {BlockFormat::q4_k, 0.1},
                                      {BlockFormat::bf16, 0.004}}) {
    const Written written = write(source, format);
    std::vector<std::byte> expected(
        static_cast<size_t>(block_format_bytes(format, rows * columns)));
    quantize_row(format, values.data(), rows * columns, expected.data());
    EXPECT_EQ(written.bytes, expected);
    EXPECT_GT(written.error.relative(), 0);
    EXPECT_LT(written.error.relative(), bound) << block_format_name(format);
    const RowSource back({{format, rows, columns, written.bytes.data()}});
    EXPECT_DOUBLE_EQ(compare_rows(source, back).error, written.error.error);
  }
}

TEST(QuantizeRows, SameForAnyThreads) {
  const std::vector<float> values = waves(300, 256);
  const RowSource source({matrix_of(values, 300, 256)});
  set_thread_count(1);
  const Written one = write(source, BlockFormat::q4_k);
  set_thread_count(3);
  const Written three = write(source, BlockFormat::q4_k);
  set_thread_count(2);
  EXPECT_EQ(one.bytes, three.bytes);
  EXPECT_EQ(one.error.error, three.error.error);
}

TEST(QuantizeRows, CopiesWhatHasTheFormatAlready) {
  const std::vector<float> values = waves(4, 256);
  const Written first = write(RowSource({matrix_of(values, 4, 256)}), BlockFormat::q4_k);
  const StoredMatrix half{BlockFormat::q4_k, 2, 256, first.bytes.data()};
  StoredMatrix other = half;
  other.data += 2 * half.row_bytes();
  const Written copied = write(RowSource({half, other}), BlockFormat::q4_k);
  EXPECT_EQ(copied.bytes, first.bytes);
  EXPECT_EQ(copied.error.error, 0);
  const Written turned = write(RowSource({half}, {1, 0}), BlockFormat::q4_k);
  EXPECT_EQ(std::memcmp(turned.bytes.data(), half.row(1), static_cast<size_t>(half.row_bytes())),
            0);
}

// Rows come in groups of 96, scales in groups of 128: pieces are multiples of both.
TEST(QuantizeRows, Fp8OfRowsThatAreMadeInGroups) {
  const int64_t rows = 480, columns = 200;
  const std::vector<float> values = waves(rows, columns);
  const RowSource stored({matrix_of(values, rows, columns)});
  const RowSource made(rows, columns, 96, [&](int64_t begin, int64_t end, float* out) {
    EXPECT_EQ(begin % 96, 0);
    EXPECT_TRUE(end % 96 == 0);
    std::copy(values.data() + begin * columns, values.data() + end * columns, out);
  });
  const Written one = write(stored, BlockFormat::f8_e4m3),
                other = write(made, BlockFormat::f8_e4m3);
  EXPECT_EQ(one.bytes, other.bytes);
  EXPECT_EQ(one.scales, other.scales);
  EXPECT_EQ(one.scales.size(), 4u * 2u);
  EXPECT_LT(one.error.relative(), 0.04);
  StoredMatrix matrix{BlockFormat::f8_e4m3, rows, columns, one.bytes.data()};
  matrix.scales = reinterpret_cast<const std::byte*>(one.scales.data());
  EXPECT_NEAR(compare_rows(made, RowSource({matrix})).error, one.error.error,
              1e-9 * one.error.error);  // the sums have another order
}

}  // namespace
}  // namespace minke
