#include "config/any_model.h"

#include "config/model_fields.h"

namespace minke {
namespace {

// The published configurations: DeepSeek's config.json files and those of the distillations.
ModelConfig deepseek_v3() {
  ModelConfig c;
  c.num_nextn_predict_layers = 1;
  c.rope_scaling.factor = 40;
  c.max_position_embeddings = 163840;
  return c;
}

ModelConfig deepseek_v2() {
  ModelConfig c = deepseek_v3();
  c.model_type = ModelType::deepseek_v2;
  c.num_nextn_predict_layers = 0;
  c.vocab_size = 102400;
  c.hidden_size = 5120;
  c.intermediate_size = 12288;
  c.moe_intermediate_size = 1536;
  c.num_hidden_layers = 60;
  c.first_k_dense_replace = 1;
  c.n_routed_experts = 160;
  c.n_shared_experts = 2;
  c.num_experts_per_tok = 6;
  c.topk_group = 3;
  c.topk_method = TopkMethod::group_limited_greedy;
  c.scoring_func = ScoringFunc::softmax;
  c.norm_topk_prob = false;
  c.routed_scaling_factor = 16.0;
  c.bos_token_id = 100000;
  c.eos_token_id = 100001;
  return c;
}

ModelConfig deepseek_v2_lite() {
  ModelConfig c = deepseek_v2();
  c.hidden_size = 2048;
  c.intermediate_size = 10944;
  c.moe_intermediate_size = 1408;
  c.num_hidden_layers = 27;
  c.num_attention_heads = 16;
  c.n_routed_experts = 64;
  c.n_group = c.topk_group = 1;
  c.topk_method = TopkMethod::greedy;
  c.routed_scaling_factor = 1.0;
  c.q_lora_rank = 0;
  c.rope_scaling.mscale = c.rope_scaling.mscale_all_dim = 0.707;
  return c;
}

struct QwenSizes {
  int64_t vocab, hidden, width, layers, heads, key_heads;
  double theta, epsilon;
};

DenseConfig qwen(const QwenSizes& s) {
  DenseConfig c;
  c.model_type = DenseModelType::qwen2;
  c.vocab_size = s.vocab;
  c.hidden_size = s.hidden;
  c.intermediate_size = s.width;
  c.num_hidden_layers = s.layers;
  c.num_attention_heads = s.heads;
  c.num_key_value_heads = s.key_heads;
  c.rope_theta = s.theta;
  c.rms_norm_eps = s.epsilon;
  return c;
}

DenseConfig llama(int64_t hidden, int64_t width, int64_t layers, int64_t heads) {
  DenseConfig c;
  c.hidden_size = hidden;
  c.intermediate_size = width;
  c.num_hidden_layers = layers;
  c.num_attention_heads = heads;
  c.rope_scaling.factor = 8;
  return c;
}

struct Preset {
  const char* name;
  AnyModel (*make)();
};

const std::vector<Preset>& presets() {
  static const std::vector<Preset> list = {
      {"12m", [] { return AnyModel(model_preset("12m")); }},
      {"107m", [] { return AnyModel(model_preset("107m")); }},
      {"r1-distill-qwen-1.5b",
       [] {
         return AnyModel(qwen({151936, 1536, 8960, 28, 12, 2, 1e4, 1e-6}));
       }},
      {"r1-distill-qwen-7b",
       [] {
         return AnyModel(qwen({152064, 3584, 18944, 28, 28, 4, 1e4, 1e-6}));
       }},
      {"r1-distill-llama-8b", [] { return AnyModel(llama(4096, 14336, 32, 32)); }},
      {"r1-distill-qwen-14b",
       [] {
         return AnyModel(qwen({152064, 5120, 13824, 48, 40, 8, 1e6, 1e-5}));
       }},
      {"deepseek-v2-lite", [] { return AnyModel(deepseek_v2_lite()); }},
      {"r1-distill-qwen-32b",
       [] {
         return AnyModel(qwen({152064, 5120, 27648, 64, 40, 8, 1e6, 1e-5}));
       }},
      {"r1-distill-llama-70b", [] { return AnyModel(llama(8192, 28672, 80, 64)); }},
      {"deepseek-v2", [] { return AnyModel(deepseek_v2()); }},
      {"deepseek-v3", [] { return AnyModel(deepseek_v3()); }},
      {"deepseek-r1", [] { return AnyModel(deepseek_v3()); }},
  };
  return list;
}

std::string joined_names() {
  std::string text;
  for (const std::string& name : any_model_names()) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

const std::vector<std::string>& any_model_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Preset& preset : presets()) list.emplace_back(preset.name);
    return list;
  }();
  return names;
}

AnyModel any_model_preset(const std::string& name) {
  for (const Preset& preset : presets())
    if (name == preset.name) return preset.make();
  fail_usage("there is no model preset '{}': use one of {}", name, joined_names());
}

AnyModel parse_any_model(const std::string& json, const std::string& where) {
  const auto root = parse_json(json, where);
  const auto type = root.is_object() ? root.value("model_type", nlohmann::ordered_json())
                                     : nlohmann::ordered_json();
  for (const std::string_view dense : EnumNames<DenseModelType>::names)
    if (type == dense) return parse_dense_config(json, where);
  for (const std::string_view known : EnumNames<ModelType>::names)
    if (type == known) return parse_model_config(json, where);
  fail_usage("{}: model_type is {}, expected deepseek_v2, deepseek_v3, llama or qwen2", where,
             shown(type));
}

}  // namespace minke
