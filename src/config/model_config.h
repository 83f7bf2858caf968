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

enum class ScoringFunc { softmax, sigmoid };                       // config.json: same names
enum class TopkMethod { greedy, group_limited_greedy, noaux_tc };  // config.json: same names
enum class ModelType { deepseek_v2, deepseek_v3 };                 // config.json: model_type

// YaRN (rope_scaling / rope_parameters); factor 1 means plain RoPE.
struct RopeScaling {
  double factor = 1.0;
  int64_t original_max_position_embeddings = 4096;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double mscale = 1.0;
  double mscale_all_dim = 1.0;
};

// A model of the DeepSeek-V2/V3 family; fields, names and defaults are those of Hugging Face's
// config.json. Linear weights have no bias.
struct ModelConfig {
  ModelType model_type = ModelType::deepseek_v3;
  int64_t vocab_size = 129280;
  int64_t hidden_size = 7168;
  int64_t intermediate_size = 18432;
  int64_t moe_intermediate_size = 2048;
  int64_t num_hidden_layers = 61;
  int64_t num_nextn_predict_layers = 0;  // depth of multi-token prediction
  int64_t first_k_dense_replace = 3;
  int64_t moe_layer_freq = 1;
  int64_t num_attention_heads = 128;
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

  int64_t qk_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
  // Whether layer `index` (0-based; MTP modules count on from num_hidden_layers) routes to experts.
  bool is_moe_layer(int64_t index) const {
    return n_routed_experts > 0 && index >= first_k_dense_replace && index % moe_layer_freq == 0;
  }
};

// Reads config.json text; `where` names it in errors. Missing fields take the defaults of the
// architecture's Hugging Face class; wrong types and impossible values are Errors that name the
// key.
ModelConfig parse_model_config(const std::string& json, const std::string& where);
// Reads DIR/config.json and lists its unknown keys in the log.
ModelConfig load_model_config(const std::filesystem::path& directory);
// config.json text that `transformers` loads, unknown keys included.
std::string write_model_config(const ModelConfig& config);
// Throws a usage Error naming the field, its value and what is allowed.
void check_model_config(const ModelConfig& config, const std::string& where);
// "12m" or "107m" (and later ones); another name is a usage Error that lists them.
ModelConfig model_preset(const std::string& name);

}  // namespace minke
