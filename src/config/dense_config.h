#pragma once
// Dense models with grouped-query attention: Llama and Qwen2, the families of the R1 distillations.

#include <cstdint>
#include <string>
#include <vector>

#include "config/fields.h"
#include "config/parameters.h"

namespace minke {

enum class DenseModelType { llama, qwen2 };  // config.json: model_type

template <>
struct EnumNames<DenseModelType> {
  static constexpr std::array<std::string_view, 2> names = {"llama", "qwen2"};
};

// Llama 3's frequency scaling (rope_scaling with rope_type "llama3"); factor 1 means plain RoPE.
struct Llama3Scaling {
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 8192;
};

// Fields and names are those of Hugging Face's config.json. Biases: Qwen2 has them on q, k and v;
// Llama where attention_bias says so (then on o too) and where mlp_bias does.
struct DenseConfig {
  DenseModelType model_type = DenseModelType::llama;
  int64_t vocab_size = 128256;
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 14336;
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  int64_t num_key_value_heads = 8;  // 0: as many as num_attention_heads
  int64_t head_dim = 0;             // 0: hidden_size / num_attention_heads
  bool attention_bias = false;
  bool mlp_bias = false;
  double rms_norm_eps = 1e-5;
  double rope_theta = 500000.0;
  Llama3Scaling rope_scaling;
  int64_t max_position_embeddings = 131072;
  bool tie_word_embeddings = false;

  int64_t head_width() const { return head_dim ? head_dim : hidden_size / num_attention_heads; }
  int64_t key_heads() const {
    return num_key_value_heads ? num_key_value_heads : num_attention_heads;
  }
  bool has_qkv_bias() const { return model_type == DenseModelType::qwen2 || attention_bias; }
  bool has_o_bias() const { return model_type == DenseModelType::llama && attention_bias; }
};

template <typename Visit>
void visit_fields(Llama3Scaling& c, Visit&& visit) {
  visit(Field{"factor", "how many times the context grows; 1: plain RoPE", 1, 1e6}, c.factor);
  visit(Field{"low_freq_factor", "waves longer than the context by this are divided", 1e-3, 1e6},
        c.low_freq_factor);
  visit(Field{"high_freq_factor", "waves shorter than the context by this are kept", 1e-3, 1e6},
        c.high_freq_factor);
  visit(Field{"original_max_position_embeddings", "tokens of context before it grew", 1, 0x1p31},
        c.original_max_position_embeddings);
}

// The bounds keep every product of sizes, and the sum of all of them, inside 64 bits.
template <typename Visit>
void visit_fields(DenseConfig& c, Visit&& visit) {
  visit(Field{"model_type", "the architecture"}, c.model_type);
  visit(Field{"vocab_size", "rows of the embedding", 1, 0x1p24}, c.vocab_size);
  visit(Field{"hidden_size", "width of the residual stream", 1, 0x1p17}, c.hidden_size);
  visit(Field{"intermediate_size", "width of the FFN", 1, 0x1p20}, c.intermediate_size);
  visit(Field{"num_hidden_layers", "transformer layers", 1, 1024}, c.num_hidden_layers);
  visit(Field{"num_attention_heads", "query heads", 1, 4096}, c.num_attention_heads);
  visit(Field{"num_key_value_heads", "heads of keys and values", 0, 4096}, c.num_key_value_heads);
  visit(Field{"head_dim", "width of a head; 0: hidden_size / num_attention_heads", 0, 4096},
        c.head_dim);
  visit(Field{"attention_bias", "whether Llama's attention has biases"}, c.attention_bias);
  visit(Field{"mlp_bias", "whether Llama's FFN has biases"}, c.mlp_bias);
  visit(Field{"rms_norm_eps", "added to the mean square in RMSNorm", 1e-20, 1}, c.rms_norm_eps);
  visit(Field{"rope_theta", "base of the RoPE frequencies", 1, 1e12}, c.rope_theta);
  visit(Field{"max_position_embeddings", "longest context in tokens", 1, 0x1p31},
        c.max_position_embeddings);
  visit(Field{"tie_word_embeddings", "whether the head is the embedding"}, c.tie_word_embeddings);
}

// Reads config.json text; `where` names it in errors. Keys that change what the model computes and
// are not known here (another activation, RoPE scaling or sliding windows that are in use) are
// usage Errors; others are ignored.
DenseConfig parse_dense_config(const std::string& json, const std::string& where);

// All parameters with Hugging Face's names, in storage order; biases are of kind norm: trained,
// without weight decay.
std::vector<Parameter> list_parameters(const DenseConfig& config);

// Elements of all parameters that are not tied.
int64_t count_parameters(const DenseConfig& config);

}  // namespace minke
