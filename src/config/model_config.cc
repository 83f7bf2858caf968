#include "config/model_config.h"

#include "config/model_fields.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

ModelConfig deepseek_v2_defaults() {
  ModelConfig c;
  c.vocab_size = 102400;
  c.hidden_size = 4096;
  c.intermediate_size = 11008;
  c.moe_intermediate_size = 1407;
  c.num_hidden_layers = 32;
  c.first_k_dense_replace = 0;
  c.num_attention_heads = 32;
  c.n_routed_experts = 64;
  c.n_shared_experts = 2;
  c.num_experts_per_tok = 0;
  c.n_group = c.topk_group = 1;
  c.topk_method = TopkMethod::greedy;
  c.scoring_func = ScoringFunc::softmax;
  c.norm_topk_prob = false;
  c.routed_scaling_factor = 1.0;
  c.max_position_embeddings = 2048;
  c.bos_token_id = 1;
  c.eos_token_id = 2;
  return c;
}

// Nothing of latent attention and no experts.
ModelConfig dense_defaults(ModelType type) {
  const bool llama = type == ModelType::llama;
  ModelConfig c;
  c.moe_intermediate_size = c.first_k_dense_replace = c.num_experts_per_tok = 0;
  c.n_routed_experts = c.n_shared_experts = 0;
  c.n_group = c.topk_group = 1;
  c.topk_method = TopkMethod::greedy;
  c.q_lora_rank = c.kv_lora_rank = 0;
  c.qk_nope_head_dim = c.qk_rope_head_dim = c.v_head_dim = 0;
  c.vocab_size = llama ? 32000 : 151936;
  c.hidden_size = 4096;
  c.intermediate_size = llama ? 11008 : 22016;
  c.num_hidden_layers = 32;
  c.num_attention_heads = 32;
  c.num_key_value_heads = llama ? 0 : 32;
  c.head_dim = type == ModelType::qwen3 ? 128 : 0;
  c.max_position_embeddings = llama ? 2048 : 32768;
  c.rope_scaling.rope_type = llama ? RopeType::llama3 : RopeType::yarn;
  c.bos_token_id = llama ? 1 : -1;
  c.eos_token_id = llama ? 2 : -1;
  return c;
}

Json rope_scaling_json(const ModelConfig& config) {
  if (config.rope_scaling.factor == 1.0) return nullptr;
  Json rope = Json::object();
  if (config.is_mla()) rope["type"] = "yarn";
  RopeScaling scaling = config.rope_scaling;
  visit_fields(scaling, [&](const Field& field, const auto& member) {
    if (has_field(scaling, field)) rope[std::string(field.name)] = field_value(member);
  });
  for (const char* key : {"attention_factor", "attn_factor"})
    if (rope.contains(key) && rope[key] == 0.0) rope.erase(key);
  return rope;
}

const char* architecture_name(ModelType type) {
  switch (type) {
    case ModelType::deepseek_v2:
      return "DeepseekV2ForCausalLM";
    case ModelType::deepseek_v3:
      return "DeepseekV3ForCausalLM";
    case ModelType::llama:
      return "LlamaForCausalLM";
    case ModelType::qwen2:
      return "Qwen2ForCausalLM";
    case ModelType::qwen3:
      return "Qwen3ForCausalLM";
  }
  fail("a model type without a name");
}

// Files of models without n-grams are as other programs write them; those with have a name of their
// own, because another program would load them and leave the tables out.
void write_ngrams(Json& root, const ModelConfig& c) {
  if (c.ngram_vocab_size > 0) {
    root["model_type"] = root["model_type"].get<std::string>() + std::string(ngram_suffix);
    root["architectures"] = {"MinkeNgramForCausalLM"};
  } else {
    for (const char* key : {"ngram_vocab_size", "max_ngram_size"}) root.erase(key);
  }
}

void check_experts(const ModelConfig& c, const std::string& where) {
  if (c.n_routed_experts == 0) return;
  if (c.n_routed_experts % c.n_group != 0)
    fail_usage("{}: n_routed_experts is {}, expected a multiple of n_group = {}", where,
               c.n_routed_experts, c.n_group);
  if (c.topk_group > c.n_group)
    fail_usage("{}: topk_group is {}, expected at most n_group = {}", where, c.topk_group,
               c.n_group);
  const int64_t group = c.n_routed_experts / c.n_group;
  const bool grouped = c.topk_method != TopkMethod::greedy;
  const int64_t allowed = grouped ? group * c.topk_group : c.n_routed_experts;
  if (c.num_experts_per_tok < 1 || c.num_experts_per_tok > allowed)
    fail_usage(
        "{}: num_experts_per_tok is {}, expected from 1 to {}, the experts that a token may use",
        where, c.num_experts_per_tok, allowed);
  if (c.topk_method == TopkMethod::noaux_tc && c.n_group > 1 && group < 2)
    fail_usage(
        "{}: n_group is {}, expected at most {}: noaux_tc scores a group by its best two experts",
        where, c.n_group, c.n_routed_experts / 2);
}

void check_dense_attention(const ModelConfig& c, const std::string& where) {
  if (c.num_key_value_heads < 1 || c.num_attention_heads % c.num_key_value_heads != 0)
    fail_usage("{}: num_key_value_heads is {}, expected a divisor of num_attention_heads = {}",
               where, c.num_key_value_heads, c.num_attention_heads);
  // transformers loads no Llama for which this does not hold, whatever its head_dim.
  const bool llama = c.model_type == ModelType::llama;
  if ((llama || c.head_dim == 0) && c.hidden_size % c.num_attention_heads != 0)
    fail_usage("{}: hidden_size is {}, expected a multiple of num_attention_heads = {}{}", where,
               c.hidden_size, c.num_attention_heads, llama ? "" : ", or a head_dim");
  if (c.head_dim == 0)
    fail_usage("{}: head_dim is 0, expected hidden_size / num_attention_heads or another width",
               where);
  if (c.head_dim % 2 != 0)
    fail_usage("{}: head_dim is {}, expected an even number", where, c.head_dim);
}

void check_rope_type(const ModelConfig& c, const std::string& where) {
  const RopeScaling& scaling = c.rope_scaling;
  if (c.is_mla() != (scaling.rope_type == RopeType::deepseek_yarn))
    fail_usage("{}: rope_scaling.rope_type is {}, expected {} for {}", where,
               enum_name(scaling.rope_type), c.is_mla() ? "deepseek_yarn" : "yarn or llama3",
               enum_name(c.model_type));
  if (scaling.rope_type == RopeType::llama3 && scaling.high_freq_factor <= scaling.low_freq_factor)
    fail_usage("{}: rope_scaling.high_freq_factor is {}, expected more than low_freq_factor = {}",
               where, scaling.high_freq_factor, scaling.low_freq_factor);
}

}  // namespace

ModelConfig model_defaults(ModelType type) {
  ModelConfig c;
  if (type == ModelType::deepseek_v2)
    c = deepseek_v2_defaults();
  else if (type != ModelType::deepseek_v3)
    c = dense_defaults(type);
  c.model_type = type;
  return c;
}

void resolve_model_config(ModelConfig& c) {
  if (c.is_mla()) return;
  if (c.num_key_value_heads == 0) c.num_key_value_heads = c.num_attention_heads;
  if (c.head_dim == 0 && c.hidden_size % c.num_attention_heads == 0)
    c.head_dim = c.hidden_size / c.num_attention_heads;
}

std::string write_model_config(const ModelConfig& config) {
  ModelConfig c = config;
  Json root = {{"architectures", {architecture_name(c.model_type)}}};
  visit_fields(c, [&](const Field& field, const auto& member) {
    if (has_field(c, field)) root[std::string(field.name)] = field_value(member);
  });
  if (c.is_mla() && c.q_lora_rank == 0) root["q_lora_rank"] = nullptr;
  write_ngrams(root, c);
  for (const char* key : {"bos_token_id", "eos_token_id"})
    if (root[key] == -1) root[key] = nullptr;
  if (c.is_mla()) root["num_key_value_heads"] = c.num_attention_heads;
  root["rope_scaling"] = rope_scaling_json(c);
  root["hidden_act"] = "silu";
  if (c.is_mla()) root["attention_bias"] = false;
  root.update(Json::parse(c.unknown_keys));
  return root.dump(2) + "\n";
}

void check_model_config(const ModelConfig& config, const std::string& where) {
  ModelConfig c = config;
  const auto check_bounds = [&](auto& settings) {
    visit_fields(settings, [&](const Field& field, const auto& member) {
      using T = std::remove_cvref_t<decltype(member)>;
      if (has_field(settings, field) && !in_bounds(field, member))
        fail_usage("{}: {} is {}, expected {}", where, field.name, shown(field_value(member)),
                   expectation<T>(field));
    });
  };
  check_bounds(c);
  check_bounds(c.rope_scaling);
  check_rope_type(c, where);
  if (c.is_mla() && c.qk_rope_head_dim % 2 != 0)
    fail_usage("{}: qk_rope_head_dim is {}, expected an even number", where, c.qk_rope_head_dim);
  if (c.torch_dtype != "float32" && c.torch_dtype != "bfloat16" && c.torch_dtype != "float16")
    fail_usage("{}: torch_dtype is \"{}\", expected float32, bfloat16 or float16", where,
               c.torch_dtype);
  if (c.is_mla())
    check_experts(c, where);
  else
    check_dense_attention(c, where);
}

}  // namespace minke
