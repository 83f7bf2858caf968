#include "model/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/error.h"

namespace minke {
namespace {

constexpr int64_t gating_softmax = 1, gating_sigmoid = 2;  // expert_gating_func

class Reader {
 public:
  explicit Reader(const GgufReader& file) : file_(file) {}

  ModelConfig read() {
    const std::string_view architecture = read_architecture();
    prefix_ = std::string(architecture) + ".";
    ModelConfig c = model_defaults(type_of(architecture));
    c.hidden_size = needed("embedding_length");
    c.num_hidden_layers = needed("block_count");
    c.num_attention_heads = needed("attention.head_count");
    if (c.num_attention_heads == 0) fail("{}: {}attention.head_count is 0", file_.path(), prefix_);
    c.max_position_embeddings = needed("context_length");
    c.rms_norm_eps = needed_number("attention.layer_norm_rms_epsilon");
    c.rope_theta = number("rope.freq_base").value_or(10000.0);
    c.tie_word_embeddings = !has("output.weight");
    c.torch_dtype = "bfloat16";
    c.bos_token_id = file_.integer("tokenizer.ggml.bos_token_id").value_or(-1);
    c.eos_token_id = file_.integer("tokenizer.ggml.eos_token_id").value_or(-1);
    read_vocabulary(c);
    if (c.is_mla()) {
      read_latent(c);
    } else {
      read_dense(c);
    }
    resolve_model_config(c);
    check_model_config(c, file_.path());
    return c;
  }

 private:
  std::string_view read_architecture() const {
    const auto architecture = file_.string("general.architecture");
    if (!architecture) fail("{}: general.architecture is missing; is this a model?", file_.path());
    return *architecture;
  }

  ModelType type_of(std::string_view architecture) const {
    if (architecture == "llama") return ModelType::llama;
    if (architecture == "qwen2") return ModelType::qwen2;
    if (architecture == "qwen3") return ModelType::qwen3;
    if (architecture != "deepseek2")
      fail("{}: its architecture is \"{}\"; Minke has deepseek2, llama, qwen2 and qwen3",
           file_.path(), architecture);
    const auto gating = file_.integer("deepseek2.expert_gating_func");
    if (gating && *gating != gating_softmax && *gating != gating_sigmoid)
      fail("{}: deepseek2.expert_gating_func is {}; Minke has 1 (softmax) and 2 (sigmoid)",
           file_.path(), *gating);
    const bool sigmoid = gating ? *gating == gating_sigmoid : has_gate_bias();
    return sigmoid ? ModelType::deepseek_v3 : ModelType::deepseek_v2;
  }

  bool has(std::string_view tensor) const { return file_.find(tensor) != nullptr; }
  bool has_gate_bias() const {
    return std::ranges::any_of(file_.tensors(), [](const auto& entry) {
      return entry.first.ends_with("exp_probs_b.bias");
    });
  }

  std::optional<int64_t> integer(std::string_view key) const {
    const auto value = file_.integer(prefix_ + std::string(key));
    if (value && (*value < 0 || *value > INT32_MAX))
      fail("{}: {}{} is {}, expected at most {}", file_.path(), prefix_, key, *value, INT32_MAX);
    return value;
  }
  std::optional<double> number(std::string_view key) const {
    return file_.number(prefix_ + std::string(key));
  }
  int64_t needed(std::string_view key) const {
    const auto value = integer(key);
    if (!value) fail("{}: {}{} is missing", file_.path(), prefix_, key);
    return *value;
  }
  double needed_number(std::string_view key) const {
    const auto value = number(key);
    if (!value) fail("{}: {}{} is missing", file_.path(), prefix_, key);
    return *value;
  }

  void read_vocabulary(ModelConfig& c) const {
    const GgufTensor* embedding = file_.find("token_embd.weight");
    if (!embedding || embedding->shape.size() != 2)
      fail("{}: token_embd.weight is {}; is this a language model?", file_.path(),
           embedding ? embedding->describe() : "missing");
    c.vocab_size = embedding->shape[0];
  }

  void read_latent(ModelConfig& c) const {
    const bool is_new = integer("attention.key_length_mla").has_value();
    const int64_t keys = needed(is_new ? "attention.key_length_mla" : "attention.key_length");
    c.qk_rope_head_dim = needed("rope.dimension_count");
    c.qk_nope_head_dim = keys - c.qk_rope_head_dim;
    c.v_head_dim = needed(is_new ? "attention.value_length_mla" : "attention.value_length");
    c.q_lora_rank = integer("attention.q_lora_rank").value_or(0);
    c.kv_lora_rank = needed("attention.kv_lora_rank");
    c.intermediate_size = needed("feed_forward_length");
    c.num_nextn_predict_layers = integer("nextn_predict_layers").value_or(0);
    c.num_hidden_layers -= c.num_nextn_predict_layers;  // block_count has them too
    int64_t stored = 0;
    while (stored < c.num_nextn_predict_layers &&
           has(fmt::format("blk.{}.nextn.eh_proj.weight", c.num_hidden_layers + stored)))
      ++stored;
    c.num_nextn_predict_layers = stored;
    c.ngram_vocab_size = integer("ngram_vocab_size").value_or(0);  // Minke's own, and the next
    c.max_ngram_size = integer("max_ngram_size").value_or(c.max_ngram_size);
    read_experts(c);
    read_yarn(c);
  }

  void read_experts(ModelConfig& c) const {
    c.n_routed_experts = integer("expert_count").value_or(0);
    c.first_k_dense_replace = integer("leading_dense_block_count").value_or(0);
    c.moe_layer_freq = 1;
    if (c.n_routed_experts == 0) return;
    c.n_shared_experts = integer("expert_shared_count").value_or(0);
    c.num_experts_per_tok = needed("expert_used_count");
    c.moe_intermediate_size = needed("expert_feed_forward_length");
    c.routed_scaling_factor = number("expert_weights_scale").value_or(1.0);
    c.norm_topk_prob = file_.boolean(prefix_ + "expert_weights_norm").value_or(false);
    const bool is_v3 = c.model_type == ModelType::deepseek_v3;
    c.scoring_func = is_v3 ? ScoringFunc::sigmoid : ScoringFunc::softmax;
    read_groups(c, is_v3);
    if (is_v3)
      c.topk_method = TopkMethod::noaux_tc;
    else
      c.topk_method = c.n_group > 1 ? TopkMethod::group_limited_greedy : TopkMethod::greedy;
  }

  // Older files leave the groups out; those of V3 and V2 are known by the number of experts.
  void read_groups(ModelConfig& c, bool is_v3) const {
    const bool like_v3 = is_v3 && c.n_routed_experts == 256;
    const bool like_v2 = !is_v3 && c.n_routed_experts == 160;
    c.n_group = integer("expert_group_count").value_or(like_v3 || like_v2 ? 8 : 1);
    c.topk_group = integer("expert_group_used_count")
                       .value_or(like_v3   ? 4
                                 : like_v2 ? 3
                                           : c.n_group);
  }

  void read_yarn(ModelConfig& c) const {
    c.rope_scaling = {};
    c.rope_scaling.rope_type = c.is_mla() ? RopeType::deepseek_yarn : RopeType::yarn;
    const auto type = file_.string(prefix_ + "rope.scaling.type").value_or("none");
    if (type == "none") return;
    if (type != "yarn")
      fail("{}: {}rope.scaling.type is \"{}\"; Minke has yarn", file_.path(), prefix_, type);
    c.rope_scaling.factor = needed_number("rope.scaling.factor");
    c.rope_scaling.original_max_position_embeddings =
        needed("rope.scaling.original_context_length");
    c.rope_scaling.beta_fast = number("rope.scaling.yarn_beta_fast").value_or(32.0);
    c.rope_scaling.beta_slow = number("rope.scaling.yarn_beta_slow").value_or(1.0);
    // 0.1 · mscale_all_dim as a float; mscale is the same in every model, so cos and sin keep their
    // size.
    const double multiplier = number("rope.scaling.yarn_log_multiplier").value_or(0.0);
    const double mscale = std::round(multiplier * 10.0 * 1e5) / 1e5;
    if (c.is_mla()) c.rope_scaling.mscale = c.rope_scaling.mscale_all_dim = mscale;
  }

  void read_dense(ModelConfig& c) const {
    if (integer("expert_count").value_or(0) > 0)
      fail("{}: {}expert_count is {}; Minke has experts in deepseek2 only", file_.path(), prefix_,
           *integer("expert_count"));
    c.intermediate_size = needed("feed_forward_length");
    c.num_key_value_heads = integer("attention.head_count_kv").value_or(c.num_attention_heads);
    c.head_dim = integer("attention.key_length").value_or(0);
    c.attention_bias = c.model_type != ModelType::qwen2 && has("blk.0.attn_q.bias");
    c.mlp_bias = c.model_type == ModelType::llama && has("blk.0.ffn_gate.bias");
    resolve_model_config(c);
    if (const int64_t rotated = integer("rope.dimension_count").value_or(c.head_dim);
        rotated != c.head_dim)
      fail("{}: {}rope.dimension_count is {}, expected {}: Minke rotates whole heads", file_.path(),
           prefix_, rotated, c.head_dim);
    if (c.model_type == ModelType::llama)
      read_llama3(c);
    else
      read_yarn(c);
  }

  // Files have the factors themselves; Llama 3's rule with its own constants must give them.
  void read_llama3(ModelConfig& c) const {
    c.rope_scaling = {};
    c.rope_scaling.rope_type = RopeType::llama3;
    c.rope_scaling.high_freq_factor = 4.0;
    c.rope_scaling.original_max_position_embeddings =
        integer("rope.scaling.original_context_length").value_or(8192);
    const auto type = file_.string(prefix_ + "rope.scaling.type").value_or("none");
    if (type != "none")
      fail("{}: {}rope.scaling.type is \"{}\"; Minke has Llama 3's scaling only", file_.path(),
           prefix_, type);
    const GgufTensor* tensor = file_.find("rope_freqs.weight");
    if (!tensor) return;
    if (tensor->format != BlockFormat::f32 || tensor->size() != c.head_dim / 2)
      fail("{}: rope_freqs.weight is {}, expected F32 [{}]", file_.path(), tensor->describe(),
           c.head_dim / 2);
    std::vector<float> factors(static_cast<size_t>(tensor->size()));
    std::memcpy(factors.data(), tensor->data.data(), tensor->data.size());
    c.rope_scaling.factor = factors.back();
    const std::vector<float> expected = llama3_frequency_factors(c);
    for (size_t i = 0; i < factors.size(); ++i)
      if (const float wanted = expected.empty() ? 1.0f : expected[i];
          !(std::abs(factors[i] - wanted) <= 1e-3f * wanted))
        fail("{}: rope_freqs.weight[{}] is {}, Llama 3's scaling by {} gives {}", file_.path(), i,
             factors[i], c.rope_scaling.factor, wanted);
  }

  const GgufReader& file_;
  std::string prefix_;
};

class Writer {
 public:
  Writer(const ModelConfig& config, GgufMetadata& metadata)
      : c_(config), metadata_(metadata), prefix_(std::string(architecture()) + ".") {}

  std::string_view architecture() const {
    switch (c_.model_type) {
      case ModelType::llama:
        return "llama";
      case ModelType::qwen2:
        return "qwen2";
      case ModelType::qwen3:
        return "qwen3";
      default:
        return "deepseek2";
    }
  }

  void write() {
    add("block_count", c_.num_hidden_layers + c_.num_nextn_predict_layers);
    add("context_length", c_.max_position_embeddings);
    add("embedding_length", c_.hidden_size);
    add("feed_forward_length", c_.intermediate_size);
    add("attention.head_count", c_.num_attention_heads);
    add("vocab_size", c_.vocab_size);
    add_number("attention.layer_norm_rms_epsilon", c_.rms_norm_eps);
    add_number("rope.freq_base", c_.rope_theta);
    if (c_.is_mla()) {
      write_latent();
      write_experts();
    } else {
      add("attention.head_count_kv", c_.num_key_value_heads);
      add("attention.key_length", c_.head_dim);
      add("attention.value_length", c_.head_dim);
      add("rope.dimension_count", c_.head_dim);
    }
    if (c_.rope_scaling.factor != 1.0 && c_.rope_scaling.rope_type != RopeType::llama3)
      write_yarn();
    if (!llama3_frequency_factors(c_).empty()) write_llama3();
  }

 private:
  void add(std::string_view key, int64_t value) {
    metadata_.add(prefix_ + std::string(key), static_cast<uint32_t>(value));
  }
  void add_number(std::string_view key, double value) {
    metadata_.add(prefix_ + std::string(key), static_cast<float>(value));
  }

  // The newer generation: attention as if all heads shared one key, the latent with RoPE's part.
  void write_latent() {
    add("attention.head_count_kv", 1);
    add("attention.key_length", c_.kv_lora_rank + c_.qk_rope_head_dim);
    add("attention.value_length", c_.kv_lora_rank);
    add("attention.key_length_mla", c_.qk_head_dim());
    add("attention.value_length_mla", c_.v_head_dim);
    add("attention.kv_lora_rank", c_.kv_lora_rank);
    if (c_.q_lora_rank > 0) add("attention.q_lora_rank", c_.q_lora_rank);
    add("rope.dimension_count", c_.qk_rope_head_dim);
    if (c_.num_nextn_predict_layers > 0) add("nextn_predict_layers", c_.num_nextn_predict_layers);
    if (c_.ngram_vocab_size == 0) return;
    add("ngram_vocab_size", c_.ngram_vocab_size);
    add("max_ngram_size", c_.max_ngram_size);
  }

  void write_experts() {
    add("leading_dense_block_count", c_.first_k_dense_replace);
    add("expert_count", c_.n_routed_experts);
    add("expert_gating_func",
        c_.scoring_func == ScoringFunc::sigmoid ? gating_sigmoid : gating_softmax);
    if (c_.n_routed_experts == 0) return;
    if (c_.moe_layer_freq != 1)
      fail("moe_layer_freq is {}; GGUF files have experts in every layer after the dense ones",
           c_.moe_layer_freq);
    add("expert_used_count", c_.num_experts_per_tok);
    add("expert_shared_count", c_.n_shared_experts);
    add("expert_feed_forward_length", c_.moe_intermediate_size);
    add_number("expert_weights_scale", c_.routed_scaling_factor);
    metadata_.add(prefix_ + "expert_weights_norm", c_.norm_topk_prob);
    add("expert_group_count", c_.n_group);
    add("expert_group_used_count", c_.topk_group);
  }

  // The factors are a tensor. Other programs need no more; Minke finds its own keys again.
  void write_llama3() {
    const RopeScaling& scaling = c_.rope_scaling;
    if (scaling.low_freq_factor != 1.0 || scaling.high_freq_factor != 4.0)
      fail("rope_scaling.low_freq_factor is {} and high_freq_factor {}; GGUF files have 1 and 4",
           scaling.low_freq_factor, scaling.high_freq_factor);
    add("rope.scaling.original_context_length", scaling.original_max_position_embeddings);
  }

  void write_yarn() {
    const RopeScaling& scaling = c_.rope_scaling;
    metadata_.add(prefix_ + "rope.scaling.type", "yarn");
    add_number("rope.scaling.factor", scaling.factor);
    add("rope.scaling.original_context_length", scaling.original_max_position_embeddings);
    add_number("rope.scaling.yarn_beta_fast", scaling.beta_fast);
    add_number("rope.scaling.yarn_beta_slow", scaling.beta_slow);
    if (!c_.is_mla()) return;
    if (scaling.mscale != scaling.mscale_all_dim)
      fail("rope_scaling.mscale is {} and mscale_all_dim {}; GGUF files have one for both",
           scaling.mscale, scaling.mscale_all_dim);
    add_number("rope.scaling.yarn_log_multiplier", 0.1 * scaling.mscale_all_dim);
  }

  const ModelConfig& c_;
  GgufMetadata& metadata_;
  std::string prefix_;
};

}  // namespace

ModelConfig read_gguf_config(const GgufReader& file) { return Reader(file).read(); }

void add_gguf_config(const ModelConfig& config, std::string_view name, GgufMetadata& metadata) {
  Writer writer(config, metadata);
  metadata.add("general.architecture", writer.architecture());
  metadata.add("general.name", name);
  writer.write();
}

// Long waves are divided by the factor, short ones kept, those between by something between:
// section "Llama3 frequency scaling" of the model's config in transformers.
std::vector<float> llama3_frequency_factors(const ModelConfig& config) {
  const RopeScaling& s = config.rope_scaling;
  if (config.is_mla() || s.rope_type != RopeType::llama3 || s.factor == 1.0) return {};
  const auto original = static_cast<double>(s.original_max_position_embeddings);
  std::vector<float> factors;
  for (int64_t i = 0; i < config.head_dim / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim);
    const double wave = 2.0 * std::numbers::pi * std::pow(config.rope_theta, exponent);
    const double smooth = std::clamp(
        (original / wave - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor), 0.0, 1.0);
    factors.push_back(static_cast<float>(1.0 / ((1.0 - smooth) / s.factor + smooth)));
  }
  return factors;
}

}  // namespace minke
