#pragma once
// The fields of a model's configuration, each listed once: key, bounds, meaning.

#include "config/fields.h"
#include "config/model_config.h"

namespace minke {

template <>
struct EnumNames<ModelType> {
  static constexpr std::array<std::string_view, 5> names = {"deepseek_v2", "deepseek_v3", "llama",
                                                            "qwen2", "qwen3"};
};
template <>
struct EnumNames<RopeType> {
  static constexpr std::array<std::string_view, 3> names = {"deepseek_yarn", "yarn", "llama3"};
};
template <>
struct EnumNames<ScoringFunc> {
  static constexpr std::array<std::string_view, 2> names = {"softmax", "sigmoid"};
};
template <>
struct EnumNames<TopkMethod> {
  static constexpr std::array<std::string_view, 3> names = {"greedy", "group_limited_greedy",
                                                            "noaux_tc"};
};

// Behind the model_type in the files of a model with n-gram embeddings.
constexpr std::string_view ngram_suffix = "_ngram";

// Kinds of models: a bit for each ModelType.
template <typename... Types>
constexpr uint32_t kinds_of(Types... types) {
  return ((1u << static_cast<uint32_t>(types)) | ...);
}
constexpr uint32_t mla_models = kinds_of(ModelType::deepseek_v2, ModelType::deepseek_v3);
constexpr uint32_t dense_models = kinds_of(ModelType::llama, ModelType::qwen2, ModelType::qwen3);
// Kinds of RoPE scaling: a bit for each RopeType.
constexpr uint32_t any_yarn = kinds_of(RopeType::deepseek_yarn, RopeType::yarn);

// Whether settings of this kind have the field.
template <typename Settings>
bool has_field(const Settings&, const Field&) {
  return true;
}
inline bool has_field(const ModelConfig& c, const Field& field) {
  return (field.kinds & kinds_of(c.model_type)) != 0;
}
inline bool has_field(const RopeScaling& c, const Field& field) {
  return (field.kinds & kinds_of(c.rope_type)) != 0;
}

template <typename Visit>
void visit_fields(RopeScaling& c, Visit&& visit) {
  visit(Field{"rope_type", "how a longer context changes the angles", 0, 0,
              kinds_of(RopeType::yarn, RopeType::llama3)},
        c.rope_type);
  visit(Field{"factor", "how many times the context grows; 1: plain RoPE", 1, 1e6}, c.factor);
  visit(Field{"original_max_position_embeddings", "tokens of context before it grew", 1, 0x1p31},
        c.original_max_position_embeddings);
  visit(Field{"beta_fast", "rotations over the original context above which a frequency is kept",
              1e-3, 1e6, any_yarn},
        c.beta_fast);
  visit(Field{"beta_slow", "rotations below which a frequency is divided by the factor", 1e-3, 1e6,
              any_yarn},
        c.beta_slow);
  visit(Field{"mscale", "magnitude of cos and sin, against mscale_all_dim", 0, 100,
              kinds_of(RopeType::deepseek_yarn)},
        c.mscale);
  visit(Field{"mscale_all_dim", "magnitude that enters the softmax scale, squared", 0, 100,
              kinds_of(RopeType::deepseek_yarn)},
        c.mscale_all_dim);
  visit(Field{"attention_factor", "magnitude of cos and sin; 0: 0.1 ln(factor) + 1", 0, 100,
              kinds_of(RopeType::yarn)},
        c.attention_factor);
  visit(Field{"attn_factor", "kept for other programs; no effect here or in transformers", 0, 100,
              kinds_of(RopeType::yarn)},
        c.attn_factor);
  visit(Field{"low_freq_factor", "waves longer than the original context by this are divided", 1e-3,
              1e6, kinds_of(RopeType::llama3)},
        c.low_freq_factor);
  visit(Field{"high_freq_factor", "waves shorter than the original context by this are kept", 1e-3,
              1e6, kinds_of(RopeType::llama3)},
        c.high_freq_factor);
}

// The bounds keep every product of sizes, and the sum of all of them, inside 64 bits.
template <typename Visit>
void visit_fields(ModelConfig& c, Visit&& visit) {
  visit(Field{"model_type", "the architecture"}, c.model_type);
  visit(Field{"vocab_size", "rows of the embedding", 1, 0x1p24}, c.vocab_size);
  visit(Field{"hidden_size", "width of the residual stream", 1, 0x1p17}, c.hidden_size);
  visit(Field{"ngram_vocab_size", "rows of each table of n-gram embeddings; 0: none", 0, 0x1p24,
              mla_models},
        c.ngram_vocab_size);
  visit(Field{"max_ngram_size", "longest n-gram that has an embedding", 2, 8, mla_models},
        c.max_ngram_size);
  visit(Field{"intermediate_size", "width of a dense FFN", 1, 0x1p20}, c.intermediate_size);
  visit(Field{"moe_intermediate_size", "width of one expert", 1, 0x1p20, mla_models},
        c.moe_intermediate_size);
  visit(Field{"num_hidden_layers", "transformer layers, without MTP modules", 1, 1024},
        c.num_hidden_layers);
  visit(
      Field{"num_nextn_predict_layers", "MTP modules: further tokens predicted", 0, 64, mla_models},
      c.num_nextn_predict_layers);
  visit(Field{"first_k_dense_replace", "first layers that have a dense FFN", 0, 1024, mla_models},
        c.first_k_dense_replace);
  visit(Field{"moe_layer_freq", "from there on, every so many layers route to experts", 1, 1024,
              mla_models},
        c.moe_layer_freq);
  visit(Field{"num_attention_heads", "attention heads", 1, 4096}, c.num_attention_heads);
  visit(Field{"num_key_value_heads", "heads of keys and values; 0: num_attention_heads", 0, 4096,
              dense_models},
        c.num_key_value_heads);
  visit(Field{"head_dim", "width of a head, even; 0: hidden_size / num_attention_heads", 0, 4096,
              dense_models},
        c.head_dim);
  visit(Field{"attention_bias", "whether q, k, v and o have biases (Qwen2 always has q, k and v's)",
              0, 0, kinds_of(ModelType::llama, ModelType::qwen3)},
        c.attention_bias);
  visit(Field{"mlp_bias", "whether the FFN has biases", 0, 0, kinds_of(ModelType::llama)},
        c.mlp_bias);
  visit(Field{"n_routed_experts", "routed experts of a layer; 0: all layers dense", 0, 4096,
              mla_models},
        c.n_routed_experts);
  visit(Field{"n_shared_experts", "experts that every token uses", 0, 64, mla_models},
        c.n_shared_experts);
  visit(Field{"num_experts_per_tok", "routed experts that a token uses", 0, 4096, mla_models},
        c.num_experts_per_tok);
  visit(Field{"n_group", "groups of experts", 1, 4096, mla_models}, c.n_group);
  visit(Field{"topk_group", "groups that a token may use", 1, 4096, mla_models}, c.topk_group);
  visit(Field{"topk_method", "how experts are chosen", 0, 0, mla_models}, c.topk_method);
  visit(Field{"scoring_func", "how the router's logits become scores", 0, 0, mla_models},
        c.scoring_func);
  visit(Field{"norm_topk_prob", "whether the chosen scores are divided by their sum", 0, 0,
              mla_models},
        c.norm_topk_prob);
  visit(Field{"routed_scaling_factor", "factor on the routed experts' weights", 1e-6, 1e6,
              mla_models},
        c.routed_scaling_factor);
  visit(Field{"q_lora_rank", "rank of the queries' compression; 0: none", 0, 0x1p17, mla_models},
        c.q_lora_rank);
  visit(Field{"kv_lora_rank", "width of the latent that keys and values come from", 1, 0x1p17,
              mla_models},
        c.kv_lora_rank);
  visit(Field{"qk_nope_head_dim", "width of a head's keys without position", 1, 4096, mla_models},
        c.qk_nope_head_dim);
  visit(Field{"qk_rope_head_dim", "width of the rotated keys, even", 2, 4096, mla_models},
        c.qk_rope_head_dim);
  visit(Field{"v_head_dim", "width of a head's values", 1, 4096, mla_models}, c.v_head_dim);
  visit(Field{"rms_norm_eps", "added to the mean square in RMSNorm", 1e-20, 1}, c.rms_norm_eps);
  visit(Field{"rope_theta", "base of the RoPE frequencies", 1, 1e12}, c.rope_theta);
  visit(Field{"max_position_embeddings", "longest context in tokens", 1, 0x1p31},
        c.max_position_embeddings);
  visit(Field{"tie_word_embeddings", "whether the head is the embedding"}, c.tie_word_embeddings);
  visit(Field{"initializer_range", "standard deviation of the initial weights", 0, 10},
        c.initializer_range);
  visit(Field{"bos_token_id", "id of the token that begins a text; -1: none", -1, 0x1p31},
        c.bos_token_id);
  visit(Field{"eos_token_id", "id of the token that ends a text; -1: none", -1, 0x1p31},
        c.eos_token_id);
  visit(Field{"torch_dtype", "dtype of the weights in files: float32, bfloat16 or float16"},
        c.torch_dtype);
}

}  // namespace minke
