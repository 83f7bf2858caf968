#include "config/presets.h"

#include "base/error.h"

namespace minke {
namespace {

// What Minke's own presets share: DeepSeek-V3's architecture with four groups of experts.
ModelConfig small_model() {
  ModelConfig c;
  c.first_k_dense_replace = 1;
  c.num_experts_per_tok = 4;
  c.n_group = 4;
  c.topk_group = 2;
  c.qk_nope_head_dim = 64;
  c.qk_rope_head_dim = 32;
  c.v_head_dim = 64;
  return c;
}

ModelConfig minke_12m() {
  ModelConfig c = small_model();
  c.vocab_size = 4096;
  c.hidden_size = 256;
  c.num_hidden_layers = 6;
  c.num_attention_heads = 4;
  c.intermediate_size = 688;
  c.moe_intermediate_size = 128;
  c.n_routed_experts = 16;
  c.q_lora_rank = 96;
  c.kv_lora_rank = 64;
  return c;
}

ModelConfig minke_107m() {
  ModelConfig c = small_model();
  c.vocab_size = 8192;
  c.hidden_size = 512;
  c.num_hidden_layers = 8;
  c.num_attention_heads = 8;
  c.intermediate_size = 1408;
  c.moe_intermediate_size = 256;
  c.n_routed_experts = 32;
  c.q_lora_rank = 192;
  c.kv_lora_rank = 128;
  return c;
}

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

struct DenseSizes {
  int64_t vocab, hidden, width, layers, heads, key_heads;
};

// The bases of all distillations reach 131,072 positions.
ModelConfig dense(ModelType type, const DenseSizes& s, double theta, double epsilon) {
  ModelConfig c = model_defaults(type);
  c.vocab_size = s.vocab;
  c.hidden_size = s.hidden;
  c.intermediate_size = s.width;
  c.num_hidden_layers = s.layers;
  c.num_attention_heads = s.heads;
  c.num_key_value_heads = s.key_heads;
  c.rope_theta = theta;
  c.rms_norm_eps = epsilon;
  c.max_position_embeddings = 131072;
  resolve_model_config(c);
  return c;
}

ModelConfig qwen2(const DenseSizes& sizes, double theta, double epsilon) {
  return dense(ModelType::qwen2, sizes, theta, epsilon);
}

// The factor of attention is transformers'; the file's own attn_factor, which other programs
// multiply by it, makes it 1 there.
ModelConfig qwen3_8b() {
  ModelConfig c = dense(ModelType::qwen3, {151936, 4096, 12288, 36, 32, 8}, 1e6, 1e-6);
  c.rope_scaling.factor = 4;
  c.rope_scaling.original_max_position_embeddings = 32768;
  c.rope_scaling.attn_factor = 0.8782488562869419;
  c.bos_token_id = 151643;
  c.eos_token_id = 151645;
  return c;
}

ModelConfig llama(const DenseSizes& sizes) {
  ModelConfig c = dense(ModelType::llama, sizes, 5e5, 1e-5);
  c.rope_scaling.factor = 8;
  c.rope_scaling.original_max_position_embeddings = 8192;
  c.bos_token_id = 128000;
  c.eos_token_id = 128001;
  return c;
}

struct Preset {
  const char* name;
  ModelConfig (*make)();
};

const std::vector<Preset>& presets() {
  static const std::vector<Preset> list = {
      {"12m", minke_12m},
      {"107m", minke_107m},
      {"r1-distill-qwen-1.5b",
       [] {
         return qwen2({151936, 1536, 8960, 28, 12, 2}, 1e4, 1e-6);
       }},
      {"r1-distill-qwen-7b",
       [] {
         return qwen2({152064, 3584, 18944, 28, 28, 4}, 1e4, 1e-6);
       }},
      {"r1-distill-llama-8b",
       [] {
         return llama({128256, 4096, 14336, 32, 32, 8});
       }},
      {"r1-0528-qwen3-8b", qwen3_8b},
      {"r1-distill-qwen-14b",
       [] {
         return qwen2({152064, 5120, 13824, 48, 40, 8}, 1e6, 1e-5);
       }},
      {"deepseek-v2-lite", deepseek_v2_lite},
      {"r1-distill-qwen-32b",
       [] {
         return qwen2({152064, 5120, 27648, 64, 40, 8}, 1e6, 1e-5);
       }},
      {"r1-distill-llama-70b",
       [] {
         return llama({128256, 8192, 28672, 80, 64, 8});
       }},
      {"deepseek-v2", deepseek_v2},
      {"deepseek-v3", deepseek_v3},
      {"deepseek-r1", deepseek_v3},
  };
  return list;
}

}  // namespace

const std::vector<std::string>& preset_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Preset& preset : presets()) list.emplace_back(preset.name);
    return list;
  }();
  return names;
}

ModelConfig model_preset(const std::string& name) {
  std::string names;
  for (const Preset& preset : presets()) {
    if (name == preset.name) return preset.make();
    names += (names.empty() ? "" : ", ") + std::string(preset.name);
  }
  fail_usage("there is no model preset '{}': use one of {}", name, names);
}

}  // namespace minke
