#include "config/parameters.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace minke {
namespace {

ModelConfig v3() {
  ModelConfig c;
  c.num_nextn_predict_layers = 1;
  return c;
}

ModelConfig v2() {
  ModelConfig c;
  c.model_type = ModelType::deepseek_v2;
  c.vocab_size = 102400;
  c.hidden_size = 5120;
  c.intermediate_size = 12288;
  c.moe_intermediate_size = 1536;
  c.num_hidden_layers = 60;
  c.first_k_dense_replace = 1;
  c.n_routed_experts = 160;
  c.n_shared_experts = 2;
  c.num_experts_per_tok = 6;
  c.topk_method = TopkMethod::group_limited_greedy;
  c.topk_group = 3;
  return c;
}

ModelConfig v2_lite() {
  ModelConfig c = v2();
  c.hidden_size = 2048;
  c.intermediate_size = 10944;
  c.moe_intermediate_size = 1408;
  c.num_hidden_layers = 27;
  c.num_attention_heads = 16;
  c.n_routed_experts = 64;
  c.n_group = c.topk_group = 1;
  c.topk_method = TopkMethod::greedy;
  c.q_lora_rank = 0;
  return c;
}

std::map<std::string, Parameter> by_name(const ModelConfig& config) {
  std::map<std::string, Parameter> map;
  for (const Parameter& parameter : list_parameters(config)) {
    EXPECT_TRUE(map.emplace(parameter.name, parameter).second) << parameter.name;
  }
  return map;
}

TEST(Parameters, PublishedTotals) {
  EXPECT_EQ(count_parameters(v2_lite()), 15'706'484'224);
  EXPECT_EQ(count_parameters(v2()), 235'741'434'880);
  EXPECT_EQ(count_parameters(v3()), 671'026'419'200);
}

TEST(Parameters, PublishedActiveCounts) {
  EXPECT_NEAR(count_active_parameters(v2_lite()), 2.661e9, 1e6);
  EXPECT_NEAR(count_active_parameters(v2()), 21.376e9, 1e6);
  EXPECT_NEAR(count_active_parameters(v3()), 37.552e9, 1e6);
}

TEST(Parameters, MtpModuleOfV3) {
  int64_t unique = 0;
  for (const Parameter& parameter : list_parameters(v3()))
    if (parameter.name.starts_with("model.layers.61.") && parameter.kind != ParameterKind::tied)
      unique += parameter.size();
  EXPECT_EQ(unique, 11'610'068'224);
  const auto map = by_name(v3());
  EXPECT_EQ(map.at("model.layers.61.embed_tokens.weight").tied_to, "model.embed_tokens.weight");
  EXPECT_EQ(map.at("model.layers.61.shared_head.head.weight").tied_to, "lm_head.weight");
  EXPECT_EQ(map.at("model.layers.61.eh_proj.weight").shape, (std::vector<int64_t>{7168, 14336}));
}

TEST(Parameters, NamesShapesAndKinds) {
  const auto map = by_name(v3());
  EXPECT_EQ(map.at("model.layers.0.self_attn.q_b_proj.weight").shape,
            (std::vector<int64_t>{24576, 1536}));
  EXPECT_EQ(map.at("model.layers.0.self_attn.kv_b_proj.weight").shape,
            (std::vector<int64_t>{32768, 512}));
  EXPECT_EQ(map.at("model.layers.0.self_attn.o_proj.weight").shape,
            (std::vector<int64_t>{7168, 16384}));
  EXPECT_EQ(map.at("model.layers.0.mlp.up_proj.weight").shape, (std::vector<int64_t>{18432, 7168}));
  EXPECT_EQ(map.at("model.layers.3.mlp.gate.weight").kind, ParameterKind::router);
  EXPECT_EQ(map.at("model.layers.3.mlp.gate.e_score_correction_bias").kind, ParameterKind::buffer);
  EXPECT_EQ(map.at("model.layers.3.mlp.experts.255.down_proj.weight").shape,
            (std::vector<int64_t>{7168, 2048}));
  EXPECT_EQ(map.at("model.norm.weight").kind, ParameterKind::norm);
  EXPECT_EQ(map.at("lm_head.weight").kind, ParameterKind::embedding);
  EXPECT_FALSE(by_name(v2()).contains("model.layers.3.mlp.gate.e_score_correction_bias"));
}

TEST(Parameters, MatricesWithOneInputAreNeighbours) {
  for (const ModelConfig& config : {v2_lite(), v3()}) {
    const std::vector<Parameter> list = list_parameters(config);
    for (size_t i = 0; i + 1 < list.size(); ++i) {
      const std::string& name = list[i].name;
      const auto next_is = [&](const char* from, const char* to) {
        const size_t at = name.find(from);
        if (at == std::string::npos) return;
        EXPECT_EQ(list[i + 1].name, std::string(name).replace(at, std::string(from).size(), to));
      };
      next_is("q_a_proj", "kv_a_proj_with_mqa");
      next_is("self_attn.q_proj", "self_attn.kv_a_proj_with_mqa");
      next_is("gate_proj", "up_proj");
    }
  }
}

ModelConfig dense(ModelType type) {
  ModelConfig c = model_defaults(type);
  c.hidden_size = 96;
  c.num_attention_heads = 6;
  c.num_key_value_heads = 2;
  c.head_dim = 20;
  c.num_hidden_layers = 1;
  return c;
}

std::vector<std::string> names_after(const ModelConfig& config, const std::string& prefix) {
  std::vector<std::string> names;
  for (const Parameter& parameter : list_parameters(config))
    if (parameter.name.starts_with(prefix)) names.push_back(parameter.name.substr(prefix.size()));
  return names;
}

TEST(Parameters, GroupedQueryAttention) {
  const std::string prefix = "model.layers.0.self_attn.";
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_after(dense(ModelType::llama), prefix),
            (Names{"q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight"}));
  EXPECT_EQ(names_after(dense(ModelType::qwen2), prefix),
            (Names{"q_proj.weight", "k_proj.weight", "v_proj.weight", "q_proj.bias", "k_proj.bias",
                   "v_proj.bias", "o_proj.weight"}));
  EXPECT_EQ(names_after(dense(ModelType::qwen3), prefix),
            (Names{"q_proj.weight", "k_proj.weight", "v_proj.weight", "q_norm.weight",
                   "k_norm.weight", "o_proj.weight"}));
  ModelConfig biased = dense(ModelType::llama);
  biased.attention_bias = biased.mlp_bias = true;
  EXPECT_EQ(names_after(biased, "model.layers.0.mlp."),
            (Names{"gate_proj.weight", "up_proj.weight", "gate_proj.bias", "up_proj.bias",
                   "down_proj.weight", "down_proj.bias"}));
  const auto map = by_name(biased);
  EXPECT_EQ(map.at(prefix + "k_proj.weight").shape, (std::vector<int64_t>{40, 96}));
  EXPECT_EQ(map.at(prefix + "o_proj.weight").shape, (std::vector<int64_t>{96, 120}));
  EXPECT_EQ(map.at(prefix + "o_proj.bias").kind, ParameterKind::bias);
  EXPECT_EQ(by_name(dense(ModelType::qwen3)).at(prefix + "k_norm.weight").shape,
            (std::vector<int64_t>{20}));
}

TEST(Parameters, TiedHead) {
  ModelConfig c = v3();
  const int64_t untied = count_parameters(c);
  c.tie_word_embeddings = true;
  EXPECT_EQ(count_parameters(c), untied - c.vocab_size * c.hidden_size);
  const auto map = by_name(c);
  EXPECT_EQ(map.at("lm_head.weight").tied_to, "model.embed_tokens.weight");
  EXPECT_EQ(map.at("model.layers.61.shared_head.head.weight").tied_to, "model.embed_tokens.weight");
}

}  // namespace
}  // namespace minke
