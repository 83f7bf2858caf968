#include "quant/formats.h"

#include <array>
#include <charconv>

#include "base/error.h"

namespace minke {
namespace {

struct TypeEntry {
  QuantizationType type;
  std::string_view name;
  BlockFormat format;  // of most matrices
  uint32_t file_type;
};

constexpr uint32_t guessed_file_type = 1024;
constexpr std::array entries = {
    TypeEntry{QuantizationType::f32, "f32", BlockFormat::f32, 0},
    TypeEntry{QuantizationType::f16, "f16", BlockFormat::f16, 1},
    TypeEntry{QuantizationType::bf16, "bf16", BlockFormat::bf16, 32},
    TypeEntry{QuantizationType::f8, "fp8", BlockFormat::f8_e4m3, guessed_file_type},
    TypeEntry{QuantizationType::q8_0, "q8_0", BlockFormat::q8_0, 7},
    TypeEntry{QuantizationType::q4_0, "q4_0", BlockFormat::q4_0, 2},
    TypeEntry{QuantizationType::q4_k, "q4_k", BlockFormat::q4_k, 14},
    TypeEntry{QuantizationType::q6_k, "q6_k", BlockFormat::q6_k, 18},
    TypeEntry{QuantizationType::q4_k_m, "q4_k_m", BlockFormat::q4_k, 15},
};

const TypeEntry& entry_of(QuantizationType type) {
  for (const TypeEntry& entry : entries)
    if (entry.type == type) return entry;
  fail("there is no such type of quantisation");
}

bool is_head(const ModelConfig& config, std::string_view name) {
  return name == "output.weight" || (config.tie_word_embeddings && name == "token_embd.weight");
}

int64_t layer_of(std::string_view name) {
  int64_t layer = -1;
  if (name.starts_with("blk.")) std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

// The first and the last eighth of the layers, and every third of those between.
bool takes_more_bits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

BlockFormat format_in_mix(const ModelConfig& config, std::string_view name) {
  const int64_t layers = config.num_hidden_layers + config.num_nextn_predict_layers;
  const bool is_value = name.ends_with(".attn_v.weight");
  if ((is_value || name.find(".ffn_down") != std::string_view::npos) &&
      takes_more_bits(layer_of(name), layers))
    return BlockFormat::q6_k;
  // llama.cpp's rule for models of 70 billion parameters, where eight heads share a value.
  constexpr int64_t layers_of_70b = 80;
  return is_value && layers == layers_of_70b ? BlockFormat::q5_k : BlockFormat::q4_k;
}

bool is_blocks(BlockFormat format) { return block_elements(format) > 1; }

}  // namespace

std::string_view quantization_name(QuantizationType type) { return entry_of(type).name; }

QuantizationType parse_quantization(std::string_view name) {
  std::string names;
  for (const TypeEntry& entry : entries) {
    if (entry.name == name) return entry.type;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", entry.name);
  }
  fail_usage("there is no type '{}'; Minke has {}", name, names);
}

uint32_t gguf_file_type(QuantizationType type) { return entry_of(type).file_type; }

bool stays_f32_in_gguf(std::string_view name, std::span<const int64_t> shape) {
  return shape.size() < 2 || !name.ends_with(".weight") || name.ends_with("_norm.weight") ||
         name.ends_with("ffn_gate_inp.weight");
}

FormatChoice format_for_rows(BlockFormat format, int64_t columns) {
  if (columns % block_elements(format) == 0) return {format};
  BlockFormat other = BlockFormat::f16;
  if (format == BlockFormat::q4_k) other = BlockFormat::q5_0;
  if (format == BlockFormat::q5_k) other = BlockFormat::q5_1;
  if (format == BlockFormat::q6_k) other = BlockFormat::q8_0;
  if (columns % block_elements(other) != 0) other = BlockFormat::f16;
  return {other, true};
}

FormatChoice choose_gguf_format(QuantizationType type, const ModelConfig& config,
                                std::string_view name, std::span<const int64_t> shape) {
  const BlockFormat format = entry_of(type).format;
  if (format == BlockFormat::f8_e4m3)
    fail_usage("GGUF files have no FP8; write a Hugging Face directory");
  if (stays_f32_in_gguf(name, shape)) return {BlockFormat::f32};
  if (!is_blocks(format)) return {format};
  const bool more_bits = is_head(config, name) && format != BlockFormat::q8_0;
  if (more_bits) return format_for_rows(BlockFormat::q6_k, shape.back());
  if (type == QuantizationType::q4_k_m)
    return format_for_rows(format_in_mix(config, name), shape.back());
  return format_for_rows(format, shape.back());
}

BlockFormat choose_safetensors_format(QuantizationType type, std::string_view name, size_t rank) {
  if (name.ends_with("e_score_correction_bias")) return BlockFormat::f32;
  const BlockFormat format = entry_of(type).format;
  if (is_blocks(format))
    fail_usage("a Hugging Face directory cannot hold {}; give the output a name that ends in .gguf",
               entry_of(type).name);
  if (format != BlockFormat::f8_e4m3) return format;
  const bool is_linear = rank == 2 && name.ends_with("_proj.weight") &&
                         name.starts_with("model.layers.") && !name.ends_with(".eh_proj.weight");
  const bool is_latent = name.ends_with(".kv_a_proj_with_mqa.weight");
  return is_linear || is_latent ? BlockFormat::f8_e4m3 : BlockFormat::bf16;
}

}  // namespace minke
