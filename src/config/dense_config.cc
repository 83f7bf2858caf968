#include "config/dense_config.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

DenseConfig architecture_defaults(DenseModelType type) {
  DenseConfig c;
  c.model_type = type;
  c.num_key_value_heads = 0;
  c.rope_theta = 10000.0;
  c.rms_norm_eps = 1e-6;
  return c;
}

void read_scaling(const Json& root, const std::string& where, DenseConfig& c) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const Json rope = root.value(key, Json());
    if (rope.is_null()) continue;
    if (!rope.is_object()) fail_usage("{}: {} is {}, expected an object", where, key, shown(rope));
    const Json type = rope.value("rope_type", rope.value("type", Json("default")));
    if (type != "default" && type != "llama3")
      fail_usage("{}: {}.rope_type is {}, expected llama3 or default", where, key, shown(type));
    const Field theta{"rope_theta", "", 1, 1e12};
    if (rope.contains("rope_theta"))
      read_field(rope["rope_theta"], theta, where, std::string(key) + ".rope_theta", c.rope_theta);
    if (type == "default") return;
    visit_fields(c.rope_scaling, [&](const Field& field, auto& member) {
      const std::string name(field.name);
      if (rope.contains(name))
        read_field(rope[name], field, where, std::string(key) + "." + name, member);
    });
    return;
  }
}

void check(const Json& root, const std::string& where, const DenseConfig& c) {
  const Json activation = root.value("hidden_act", Json("silu"));
  if (activation != "silu")
    fail_usage("{}: hidden_act is {}, Minke computes only silu", where, shown(activation));
  if (root.value("use_sliding_window", Json(false)) == true)
    fail_usage("{}: use_sliding_window is true, Minke computes only full attention", where);
  if (!c.head_dim && c.hidden_size % c.num_attention_heads != 0)
    fail_usage("{}: hidden_size is {}, expected a multiple of num_attention_heads = {}", where,
               c.hidden_size, c.num_attention_heads);
  if (c.num_attention_heads % c.key_heads() != 0)
    fail_usage("{}: num_attention_heads is {}, expected a multiple of num_key_value_heads = {}",
               where, c.num_attention_heads, c.key_heads());
}

// Adds NAME.weight [out, in] and, where it has one, NAME.bias [out].
void add_linear(std::vector<Parameter>& list, const std::string& name, int64_t out, int64_t in,
                bool bias) {
  list.push_back({name + ".weight", {out, in}, ParameterKind::matrix, ""});
  if (bias) list.push_back({name + ".bias", {out}, ParameterKind::norm, ""});
}

void add_layer(std::vector<Parameter>& list, const DenseConfig& c, int64_t index) {
  const std::string prefix = fmt::format("model.layers.{}.", index);
  const std::string attention = prefix + "self_attn.", ffn = prefix + "mlp.";
  const int64_t hidden = c.hidden_size, width = c.intermediate_size;
  const int64_t queries = c.num_attention_heads * c.head_width();
  const int64_t keys = c.key_heads() * c.head_width();
  list.push_back({prefix + "input_layernorm.weight", {hidden}, ParameterKind::norm, ""});
  add_linear(list, attention + "q_proj", queries, hidden, c.has_qkv_bias());
  add_linear(list, attention + "k_proj", keys, hidden, c.has_qkv_bias());
  add_linear(list, attention + "v_proj", keys, hidden, c.has_qkv_bias());
  add_linear(list, attention + "o_proj", hidden, queries, c.has_o_bias());
  list.push_back({prefix + "post_attention_layernorm.weight", {hidden}, ParameterKind::norm, ""});
  add_linear(list, ffn + "gate_proj", width, hidden, c.mlp_bias);
  add_linear(list, ffn + "up_proj", width, hidden, c.mlp_bias);
  add_linear(list, ffn + "down_proj", hidden, width, c.mlp_bias);
}

}  // namespace

DenseConfig parse_dense_config(const std::string& json, const std::string& where) {
  const Json root = parse_json(json, where);
  if (!root.is_object() || !root.contains("model_type"))
    fail_usage("{}: model_type is missing", where);
  DenseModelType type{};
  read_field(root["model_type"], Field{"model_type", ""}, where, "model_type", type);
  DenseConfig c = architecture_defaults(type);
  visit_fields(c, [&](const Field& field, auto& member) {
    const std::string name(field.name);
    if (root.contains(name) && !root[name].is_null())
      read_field(root[name], field, where, name, member);
  });
  read_scaling(root, where, c);
  check(root, where, c);
  return c;
}

std::vector<Parameter> list_parameters(const DenseConfig& c) {
  const std::vector<int64_t> table = {c.vocab_size, c.hidden_size};
  const std::string embedding = "model.embed_tokens.weight";
  std::vector<Parameter> list = {{embedding, table, ParameterKind::embedding, ""}};
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) add_layer(list, c, i);
  list.push_back({"model.norm.weight", {c.hidden_size}, ParameterKind::norm, ""});
  if (c.tie_word_embeddings)
    list.push_back({"lm_head.weight", table, ParameterKind::tied, embedding});
  else
    list.push_back({"lm_head.weight", table, ParameterKind::embedding, ""});
  return list;
}

int64_t count_parameters(const DenseConfig& config) {
  int64_t count = 0;
  for (const Parameter& parameter : list_parameters(config))
    if (parameter.kind != ParameterKind::tied) count += parameter.size();
  return count;
}

}  // namespace minke
