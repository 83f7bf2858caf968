#pragma once
// config/: what a model, a training run and a server are made of, as plain structs, and how they
// are read from Hugging Face's config.json and from TOML recipes. Each field is listed once
// (visit_fields) and that list parses, prints, checks and documents it. May include tensor/ and
// base/.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace minke {

enum class ScoringFunc { softmax, sigmoid };                             // config.json: same names
enum class TopkMethod { greedy, group_limited_greedy, noaux_tc };        // config.json: same names
enum class ModelType { deepseek_v2, deepseek_v3, llama, qwen2, qwen3 };  // model_type

// How a longer context changes the angles. deepseek_yarn is YaRN with DeepSeek's mscale keys;
// config.json calls both forms "yarn", and the family tells which one is meant.
enum class RopeType { deepseek_yarn, yarn, llama3 };

// rope_scaling / rope_parameters; factor 1 means plain RoPE.
struct RopeScaling {
  RopeType rope_type = RopeType::deepseek_yarn;
  double factor = 1.0;
  int64_t original_max_position_embeddings = 4096;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double mscale = 1.0;
  double mscale_all_dim = 1.0;
  double attention_factor = 0.0;  // yarn: of cos and sin; 0: 0.1·ln(factor) + 1
  double attn_factor = 0.0;       // yarn: kept for other programs, without effect; 0: none
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
};

// A model of one of the families in ModelType; fields and names are those of Hugging Face's
// config.json, and visit_fields tells which families have which. DeepSeek's have latent attention,
// experts and no biases. The dense families have grouped-query attention; Qwen2 has biases on q, k
// and v, the others where attention_bias says so, then on o too; Qwen3 norms the queries and keys
// of each head. The values here are DeepSeek-V3's; model_defaults() gives another family's.
struct ModelConfig {
  ModelType model_type = ModelType::deepseek_v3;
  int64_t vocab_size = 129280;
  int64_t hidden_size = 7168;
  int64_t ngram_vocab_size = 0;  // rows of each table of n-gram embeddings; 0: none (Minke's own)
  int64_t max_ngram_size = 2;    // the longest n-gram that has an embedding
  int64_t intermediate_size = 18432;
  int64_t moe_intermediate_size = 2048;
  int64_t num_hidden_layers = 61;
  int64_t num_nextn_predict_layers = 0;  // depth of multi-token prediction
  int64_t first_k_dense_replace = 3;
  int64_t moe_layer_freq = 1;
  int64_t num_attention_heads = 128;
  int64_t num_key_value_heads = 0;  // dense families; resolve_model_config() fills it in
  int64_t head_dim = 0;             // dense families; resolve_model_config() fills it in
  bool attention_bias = false;      // Llama, Qwen3
  bool mlp_bias = false;            // Llama
  int64_t n_routed_experts = 256;
  int64_t n_shared_experts = 1;
  int64_t num_experts_per_tok = 8;
  int64_t n_group = 8;
  int64_t topk_group = 4;
  TopkMethod topk_method = TopkMethod::noaux_tc;
  ScoringFunc scoring_func = ScoringFunc::sigmoid;
  bool norm_topk_prob = true;
  double routed_scaling_factor = 2.5;
  int64_t q_lora_rank = 1536;  // 0: no low-rank queries (null in config.json)
  int64_t kv_lora_rank = 512;
  int64_t qk_nope_head_dim = 128;
  int64_t qk_rope_head_dim = 64;
  int64_t v_head_dim = 128;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  int64_t max_position_embeddings = 4096;
  bool tie_word_embeddings = false;
  double initializer_range = 0.02;
  int64_t bos_token_id = 0;
  int64_t eos_token_id = 1;
  std::string torch_dtype = "bfloat16";  // "dtype" in newer files
  std::string unknown_keys =
      "{}";  // what Minke does not know: a JSON object, kept and written back

  // Multi-head latent attention; otherwise grouped-query attention.
  bool is_mla() const {
    return model_type == ModelType::deepseek_v2 || model_type == ModelType::deepseek_v3;
  }
  bool has_qkv_bias() const { return model_type == ModelType::qwen2 || attention_bias; }
  bool has_o_bias() const { return attention_bias; }
  bool has_qk_norm() const { return model_type == ModelType::qwen3; }
  int64_t qk_head_dim() const { return is_mla() ? qk_nope_head_dim + qk_rope_head_dim : head_dim; }
  // Elements of a query that RoPE rotates.
  int64_t rotary_dim() const { return is_mla() ? qk_rope_head_dim : head_dim; }
  // Whether layer `index` (0-based; MTP modules count on from num_hidden_layers) routes to experts.
  bool is_moe_layer(int64_t index) const {
    return n_routed_experts > 0 && index >= first_k_dense_replace && index % moe_layer_freq == 0;
  }
};

// What config.json means where it leaves a key out: the defaults of the family's class in
// transformers.
ModelConfig model_defaults(ModelType type);
// Fills in what follows from other fields where it is 0: num_key_value_heads is
// num_attention_heads, head_dim is hidden_size / num_attention_heads.
void resolve_model_config(ModelConfig& config);

// Reads config.json text, resolved and checked; `where` names it in errors. Wrong types and
// impossible values are Errors that name the key, and so are keys that change what the model
// computes and that Minke does not know (another activation or RoPE scaling, sliding windows that
// are in use).
ModelConfig parse_model_config(const std::string& json, const std::string& where);
// Reads DIR/config.json and lists its unknown keys in the log.
ModelConfig load_model_config(const std::filesystem::path& directory);
// config.json text that `transformers` loads, with the family's keys alone, unknown keys included.
std::string write_model_config(const ModelConfig& config);
// Throws a usage Error naming the field, its value and what is allowed.
void check_model_config(const ModelConfig& config, const std::string& where);

}  // namespace minke
