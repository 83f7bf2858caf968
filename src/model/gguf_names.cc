#include "model/gguf_names.h"

#include <array>
#include <charconv>
#include <map>

#include "base/error.h"
#include "config/parameters.h"

namespace minke {
namespace {

struct Name {
  std::string_view hf, gguf;
};

constexpr std::array global_names = {
    Name{"model.embed_tokens.weight", "token_embd.weight"},
    Name{"model.embed_ngrams.weight", "token_embd_ngrams.weight"},  // Minke's own
    Name{"model.norm.weight", "output_norm.weight"},
    Name{"lm_head.weight", "output.weight"},
};

// Behind "model.layers.N." and "blk.N.".
constexpr std::array layer_names = {
    Name{"input_layernorm", "attn_norm"},
    Name{"post_attention_layernorm", "ffn_norm"},
    Name{"self_attn.q_proj", "attn_q"},
    Name{"self_attn.k_proj", "attn_k"},
    Name{"self_attn.v_proj", "attn_v"},
    Name{"self_attn.q_norm", "attn_q_norm"},
    Name{"self_attn.k_norm", "attn_k_norm"},
    Name{"self_attn.q_a_proj", "attn_q_a"},
    Name{"self_attn.q_a_layernorm", "attn_q_a_norm"},
    Name{"self_attn.q_b_proj", "attn_q_b"},
    Name{"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    Name{"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    Name{"self_attn.kv_b_proj", "attn_kv_b"},
    Name{"self_attn.k_b_proj", "attn_k_b"},
    Name{"self_attn.v_b_proj", "attn_v_b"},
    Name{"self_attn.o_proj", "attn_output"},
    Name{"mlp.gate_proj", "ffn_gate"},
    Name{"mlp.up_proj", "ffn_up"},
    Name{"mlp.down_proj", "ffn_down"},
    Name{"mlp.gate", "ffn_gate_inp"},
    Name{"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    Name{"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    Name{"mlp.shared_experts.down_proj", "ffn_down_shexp"},
    Name{"eh_proj", "nextn.eh_proj"},
    Name{"enorm", "nextn.enorm"},
    Name{"hnorm", "nextn.hnorm"},
    Name{"shared_head.norm", "nextn.shared_head_norm"},
    Name{"shared_head.head", "nextn.shared_head_head"},
    Name{"embed_tokens", "nextn.embed_tokens"},
};

constexpr std::array expert_names = {
    Name{"gate_proj.weight", "ffn_gate_exps.weight"},
    Name{"up_proj.weight", "ffn_up_exps.weight"},
    Name{"down_proj.weight", "ffn_down_exps.weight"},
};

// Takes a prefix and a number with a dot behind it off the name's front; -1: it has none.
int64_t take_number(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return -1;
  const std::string_view rest = name.substr(prefix.size());
  int64_t number = -1;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  const auto digits = static_cast<size_t>(end - rest.data());
  if (error != std::errc() || digits == rest.size() || rest[digits] != '.') return -1;
  name = rest.substr(digits + 1);
  return number;
}

std::optional<GgufPlace> layer_place(const ModelConfig& config, std::string_view name) {
  if (const int64_t expert = take_number(name, "mlp.experts."); expert >= 0) {
    for (const Name& entry : expert_names)
      if (entry.hf == name) return GgufPlace{std::string(entry.gguf), GgufForm::expert, expert, 0};
    return std::nullopt;
  }
  if (name == "mlp.gate.e_score_correction_bias")
    return GgufPlace{"exp_probs_b.bias", GgufForm::plain, 0, 0};
  const size_t dot = std::min(name.rfind('.'), name.size());
  const std::string_view stem = name.substr(0, dot), kind = name.substr(dot);
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  for (const Name& entry : layer_names) {
    if (entry.hf != stem) continue;
    GgufPlace place{std::string(entry.gguf) + std::string(kind), GgufForm::plain, 0, 0};
    const bool is_q = stem == "self_attn.q_proj", is_k = stem == "self_attn.k_proj";
    if (config.model_type == ModelType::llama && (is_q || is_k)) {
      place.form = GgufForm::permuted;
      place.heads = is_q ? config.num_attention_heads : config.num_key_value_heads;
    }
    return place;
  }
  return std::nullopt;
}

// kv_b_proj's rows are each head's nope key rows and then its v value rows.
void add_kv_b(const ModelConfig& c, const GgufPlace& place, const std::string& source,
              std::vector<GgufTensorPlan>& plan) {
  const std::string prefix = place.tensor.substr(0, place.tensor.find("attn_kv_b"));
  plan.push_back({prefix + "attn_k_b.weight",
                  {c.num_attention_heads, c.kv_lora_rank, c.qk_nope_head_dim},
                  GgufForm::k_b,
                  c.num_attention_heads,
                  {source}});
  plan.push_back({prefix + "attn_v_b.weight",
                  {c.num_attention_heads, c.v_head_dim, c.kv_lora_rank},
                  GgufForm::v_b,
                  c.num_attention_heads,
                  {source}});
}

}  // namespace

std::optional<GgufPlace> gguf_place(const ModelConfig& config, std::string_view name) {
  for (const Name& entry : global_names)
    if (entry.hf == name) return GgufPlace{std::string(entry.gguf), GgufForm::plain, 0, 0};
  const int64_t layer = take_number(name, "model.layers.");
  if (layer < 0) return std::nullopt;
  auto place = layer_place(config, name);
  if (place) place->tensor = fmt::format("blk.{}.{}", layer, place->tensor);
  return place;
}

std::vector<GgufTensorPlan> list_gguf_tensors(const ModelConfig& config) {
  std::vector<GgufTensorPlan> plan;
  std::map<std::string, size_t> stacks;  // where in the plan
  for (const Parameter& parameter : list_parameters(config)) {
    if (parameter.kind == ParameterKind::tied) continue;
    const auto place = gguf_place(config, parameter.name);
    require(place.has_value(), "the parameter '{}' has no name in GGUF files", parameter.name);
    if (place->tensor.ends_with("attn_kv_b.weight")) {
      add_kv_b(config, *place, parameter.name, plan);
    } else if (place->form != GgufForm::expert) {
      plan.push_back({place->tensor, parameter.shape, place->form, place->heads, {parameter.name}});
    } else {
      const auto [stack, is_new] = stacks.try_emplace(place->tensor, plan.size());
      if (is_new)
        plan.push_back({place->tensor,
                        {config.n_routed_experts, parameter.shape[0], parameter.shape[1]},
                        GgufForm::expert,
                        0,
                        {}});
      plan[stack->second].sources.push_back(parameter.name);
    }
  }
  return plan;
}

std::vector<int32_t> gguf_row_order(int64_t rows, int64_t heads) {
  require(heads > 0 && rows % (2 * heads) == 0, "{} rows are no {} heads of even width", rows,
          heads);
  const int64_t width = rows / heads, half = width / 2;
  std::vector<int32_t> order(static_cast<size_t>(rows));
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t in_head = r % width;
    order[r] = static_cast<int32_t>(r - in_head + 2 * (in_head % half) + in_head / half);
  }
  return order;
}

}  // namespace minke
