#include <map>

#include "base/error.h"
#include "config/model_config.h"

namespace minke {
namespace {

// What the small presets share: DeepSeek-V3's architecture with four groups of experts.
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

ModelConfig preset_12m() {
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

ModelConfig preset_107m() {
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

}  // namespace

ModelConfig model_preset(const std::string& name) {
  static const std::map<std::string, ModelConfig (*)()> presets = {{"12m", preset_12m},
                                                                   {"107m", preset_107m}};
  const auto found = presets.find(name);
  if (found != presets.end()) return found->second();
  std::string names;
  for (const auto& [key, make] : presets) names += (names.empty() ? "" : ", ") + key;
  fail_usage("there is no model preset '{}': use one of {}", name, names);
}

}  // namespace minke
