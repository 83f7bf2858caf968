#include "config/parameters.h"

#include "base/error.h"

namespace minke {
namespace {

// Collects the parameters under a prefix in storage order.
class Lister {
 public:
  explicit Lister(const ModelConfig& config) : c_(config) {}

  std::vector<Parameter> list() {
    add("model.embed_tokens.weight", {c_.vocab_size, c_.hidden_size}, ParameterKind::embedding);
    if (c_.ngram_vocab_size > 0)
      add("model.embed_ngrams.weight",
          {(c_.max_ngram_size - 1) * c_.ngram_vocab_size, c_.hidden_size}, ParameterKind::memory);
    for (int64_t i = 0; i < c_.num_hidden_layers; ++i)
      add_layer(fmt::format("model.layers.{}.", i), i);
    add("model.norm.weight", {c_.hidden_size}, ParameterKind::norm);
    if (c_.tie_word_embeddings)
      add_tied("lm_head.weight", "model.embed_tokens.weight");
    else
      add("lm_head.weight", {c_.vocab_size, c_.hidden_size}, ParameterKind::embedding);
    for (int64_t k = 0; k < c_.num_nextn_predict_layers; ++k) add_mtp(c_.num_hidden_layers + k);
    return std::move(parameters_);
  }

 private:
  void add(std::string name, std::vector<int64_t> shape, ParameterKind kind) {
    parameters_.push_back({std::move(name), std::move(shape), kind, ""});
  }

  void add_tied(std::string name, std::string to) {
    parameters_.push_back(
        {std::move(name), {c_.vocab_size, c_.hidden_size}, ParameterKind::tied, std::move(to)});
  }

  void add_layer(const std::string& prefix, int64_t index) {
    add(prefix + "input_layernorm.weight", {c_.hidden_size}, ParameterKind::norm);
    if (c_.is_mla())
      add_latent_attention(prefix + "self_attn.");
    else
      add_grouped_attention(prefix + "self_attn.");
    add(prefix + "post_attention_layernorm.weight", {c_.hidden_size}, ParameterKind::norm);
    if (c_.is_moe_layer(index))
      add_moe(prefix + "mlp.");
    else
      add_ffn(prefix + "mlp.", c_.intermediate_size, c_.mlp_bias);
  }

  // The weights [out, in] of linear layers that read the same input, then their biases.
  void add_linears(const std::string& prefix,
                   std::initializer_list<std::pair<const char*, int64_t>> layers, int64_t in,
                   bool bias) {
    for (const auto& [name, out] : layers)
      add(prefix + name + ".weight", {out, in}, ParameterKind::matrix);
    for (const auto& [name, out] : layers)
      if (bias) add(prefix + name + ".bias", {out}, ParameterKind::bias);
  }

  void add_latent_attention(const std::string& prefix) {
    const int64_t query_rows = c_.num_attention_heads * c_.qk_head_dim();
    const int64_t kv_rows = c_.num_attention_heads * (c_.qk_nope_head_dim + c_.v_head_dim);
    const bool low_rank = c_.q_lora_rank > 0;
    add_linears(prefix,
                {{low_rank ? "q_a_proj" : "q_proj", low_rank ? c_.q_lora_rank : query_rows},
                 {"kv_a_proj_with_mqa", c_.kv_lora_rank + c_.qk_rope_head_dim}},
                c_.hidden_size, false);
    if (low_rank) {
      add(prefix + "q_a_layernorm.weight", {c_.q_lora_rank}, ParameterKind::norm);
      add_linears(prefix, {{"q_b_proj", query_rows}}, c_.q_lora_rank, false);
    }
    add(prefix + "kv_a_layernorm.weight", {c_.kv_lora_rank}, ParameterKind::norm);
    add_linears(prefix, {{"kv_b_proj", kv_rows}}, c_.kv_lora_rank, false);
    add_linears(prefix, {{"o_proj", c_.hidden_size}}, c_.num_attention_heads * c_.v_head_dim,
                false);
  }

  void add_grouped_attention(const std::string& prefix) {
    const int64_t queries = c_.num_attention_heads * c_.head_dim;
    const int64_t keys = c_.num_key_value_heads * c_.head_dim;
    add_linears(prefix, {{"q_proj", queries}, {"k_proj", keys}, {"v_proj", keys}}, c_.hidden_size,
                c_.has_qkv_bias());
    for (const char* name : {"q_norm.weight", "k_norm.weight"})
      if (c_.has_qk_norm()) add(prefix + name, {c_.head_dim}, ParameterKind::norm);
    add_linears(prefix, {{"o_proj", c_.hidden_size}}, queries, c_.has_o_bias());
  }

  void add_ffn(const std::string& prefix, int64_t width, bool bias = false) {
    add_linears(prefix, {{"gate_proj", width}, {"up_proj", width}}, c_.hidden_size, bias);
    add_linears(prefix, {{"down_proj", c_.hidden_size}}, width, bias);
  }

  void add_moe(const std::string& prefix) {
    add(prefix + "gate.weight", {c_.n_routed_experts, c_.hidden_size}, ParameterKind::router);
    if (c_.topk_method == TopkMethod::noaux_tc)
      add(prefix + "gate.e_score_correction_bias", {c_.n_routed_experts}, ParameterKind::buffer);
    if (c_.n_shared_experts > 0)  // one FFN as wide as all of them
      add_ffn(prefix + "shared_experts.", c_.n_shared_experts * c_.moe_intermediate_size);
    for (int64_t j = 0; j < c_.n_routed_experts; ++j)
      add_ffn(fmt::format("{}experts.{}.", prefix, j), c_.moe_intermediate_size);
  }

  void add_mtp(int64_t index) {
    const std::string prefix = fmt::format("model.layers.{}.", index);
    add_tied(prefix + "embed_tokens.weight", "model.embed_tokens.weight");
    add(prefix + "enorm.weight", {c_.hidden_size}, ParameterKind::norm);
    add(prefix + "hnorm.weight", {c_.hidden_size}, ParameterKind::norm);
    add(prefix + "eh_proj.weight", {c_.hidden_size, 2 * c_.hidden_size}, ParameterKind::matrix);
    add_layer(prefix, index);
    add(prefix + "shared_head.norm.weight", {c_.hidden_size}, ParameterKind::norm);
    add_tied(prefix + "shared_head.head.weight",
             c_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  }

  const ModelConfig& c_;
  std::vector<Parameter> parameters_;
};

std::vector<Parameter> main_parameters(ModelConfig config) {
  config.num_nextn_predict_layers = 0;
  return list_parameters(config);
}

}  // namespace

int64_t Parameter::size() const {
  int64_t size = 1;
  for (const int64_t extent : shape) size *= extent;
  return size;
}

std::vector<Parameter> list_parameters(const ModelConfig& config) { return Lister(config).list(); }

int64_t count_parameters(const ModelConfig& config) {
  int64_t count = 0;
  for (const Parameter& parameter : main_parameters(config))
    if (parameter.kind != ParameterKind::tied) count += parameter.size();
  return count;
}

int64_t count_active_parameters(const ModelConfig& config) {
  int64_t always = 0, routed = 0;
  for (const Parameter& parameter : main_parameters(config)) {
    if (parameter.kind == ParameterKind::tied) continue;
    const bool expert = parameter.name.find(".mlp.experts.") != std::string::npos;
    (expert ? routed : always) += parameter.kind == ParameterKind::memory
                                      ? (config.max_ngram_size - 1) * config.hidden_size
                                      : parameter.size();
  }
  if (routed == 0) return always;
  return always + routed / config.n_routed_experts * config.num_experts_per_tok;
}

}  // namespace minke
