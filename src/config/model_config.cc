#include "config/model_config.h"

#include <map>
#include <set>

#include "base/files.h"
#include "base/log.h"
#include "config/model_fields.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

// Other names that transformers gives to a key.
const std::map<std::string, std::vector<std::string>, std::less<>> other_names = {
    {"num_nextn_predict_layers", {"num_mtp_layers"}},
    {"n_routed_experts", {"num_local_experts", "num_experts"}},
    {"torch_dtype", {"dtype"}},
};

// What null stands for, where it is allowed.
const std::map<std::string, int64_t, std::less<>> null_values = {
    {"q_lora_rank", 0},      {"n_group", 1},          {"topk_group", 1},
    {"n_shared_experts", 0}, {"n_routed_experts", 0}, {"num_nextn_predict_layers", 0},
    {"bos_token_id", -1},    {"eos_token_id", -1},
};

// Keys that Minke writes itself or that follow from others; auto_map names Python files that do not
// travel with the weights.
const std::set<std::string> derived_keys = {
    "architectures", "model_type",      "head_dim",   "qk_head_dim", "num_key_value_heads",
    "rope_scaling",  "rope_parameters", "rope_theta", "auto_map"};

// Keys that change what the model computes, and the only value that Minke computes.
const std::map<std::string, Json> fixed_keys = {{"hidden_act", "silu"},
                                                {"attention_bias", false},
                                                {"mlp_bias", false},
                                                {"rope_interleave", true}};

ModelConfig architecture_defaults(ModelType type) {
  ModelConfig c;
  c.model_type = type;
  if (type == ModelType::deepseek_v3) return c;
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

// One config.json while it is read: the keys that found no reader are left in `rest`.
class ConfigReader {
 public:
  ConfigReader(Json root, std::string where) : rest_(std::move(root)), where_(std::move(where)) {}

  ModelConfig read() {
    if (!rest_.is_object()) fail_usage("{}: a JSON object was expected", where_);
    ModelConfig c = architecture_defaults(read_model_type());
    visit_fields(c, [&](const Field& field, auto& member) {
      if (field.name != "model_type") read_member(field, member);
    });
    read_rope(c);
    check_fixed_keys(c);
    for (const std::string& key : derived_keys) rest_.erase(key);
    c.unknown_keys = rest_.dump();
    check_model_config(c, where_);
    return c;
  }

 private:
  ModelType read_model_type() {
    if (!rest_.contains("model_type")) fail_usage("{}: model_type is missing", where_);
    ModelType type{};
    read_field(rest_["model_type"], Field{"model_type", ""}, where_, "model_type", type);
    return type;
  }

  // Takes the key, under whichever name it stands, out of the rest.
  template <typename T>
  void read_member(const Field& field, T& member) {
    std::vector<std::string> names{std::string(field.name)};
    if (const auto found = other_names.find(field.name); found != other_names.end())
      names.insert(names.end(), found->second.begin(), found->second.end());
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      if (!rest_.contains(*name)) continue;
      Json value = rest_[*name];
      const auto null_value = null_values.find(field.name);
      if (value.is_null() && null_value != null_values.end()) value = null_value->second;
      const bool list = field.name == "eos_token_id" && value.is_array() && !value.empty();
      read_field(list ? value.front() : value, field, where_, *name, member);
      if (!list)
        rest_.erase(*name);  // a list of ids stays among the unknown keys, and so in the file
    }
  }

  // rope_parameters (newer) or rope_scaling with rope_theta beside it.
  void read_rope(ModelConfig& c) {
    const Field theta{"rope_theta", "", 1, 1e12};
    if (rest_.contains("rope_theta"))
      read_field(rest_["rope_theta"], theta, where_, "rope_theta", c.rope_theta);
    for (const std::string& key : {std::string("rope_parameters"), std::string("rope_scaling")}) {
      if (!rest_.contains(key) || rest_[key].is_null()) continue;
      const Json& rope = rest_[key];
      if (!rope.is_object())
        fail_usage("{}: {} is {}, expected an object", where_, key, shown(rope));
      if (rope.contains("rope_theta"))
        read_field(rope["rope_theta"], theta, where_, key + ".rope_theta", c.rope_theta);
      read_scaling(rope, key, c);
      return;
    }
  }

  void read_scaling(const Json& rope, const std::string& key, ModelConfig& c) {
    const std::string type_key = rope.contains("rope_type") ? "rope_type" : "type";
    const Json type = rope.value(type_key, Json("default"));
    if (type == "default") return;
    if (type != "yarn")
      fail_usage("{}: {}.{} is {}, expected yarn or default", where_, key, type_key, shown(type));
    // What DeepSeek's own code and transformers take when these keys are missing.
    c.rope_scaling.mscale_all_dim = 0.0;
    c.rope_scaling.original_max_position_embeddings = c.max_position_embeddings;
    std::set<std::string, std::less<>> known = {"rope_type", "type", "rope_theta"};
    visit_fields(c.rope_scaling, [&](const Field& field, auto& member) {
      const std::string name(field.name);
      known.insert(name);
      if (rope.contains(name)) read_field(rope[name], field, where_, key + "." + name, member);
    });
    for (const auto& [name, value] : rope.items())
      if (!known.contains(name) && !value.is_null())
        fail_usage("{}: {}.{} = {} is not known to Minke, and it would change the positions",
                   where_, key, name, shown(value));
  }

  void check_fixed_keys(const ModelConfig& c) {
    for (const auto& [key, value] : fixed_keys) {
      if (rest_.contains(key) && rest_[key] != value)
        fail_usage("{}: {} is {}, Minke computes only {}", where_, key, shown(rest_[key]),
                   shown(value));
      rest_.erase(key);
    }
    const Json heads = rest_.value("num_key_value_heads", Json());
    if (!heads.is_null() && heads != c.num_attention_heads)
      fail_usage("{}: num_key_value_heads is {}, latent attention needs num_attention_heads = {}",
                 where_, shown(heads), c.num_attention_heads);
  }

  Json rest_;
  std::string where_;
};

Json rope_scaling_json(const ModelConfig& config) {
  if (config.rope_scaling.factor == 1.0) return nullptr;
  Json rope = {{"type", "yarn"}};
  RopeScaling scaling = config.rope_scaling;
  visit_fields(scaling, [&](const Field& field, const auto& member) {
    rope[std::string(field.name)] = field_value(member);
  });
  return rope;
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

}  // namespace

ModelConfig parse_model_config(const std::string& json, const std::string& where) {
  return ConfigReader(parse_json(json, where), where).read();
}

ModelConfig load_model_config(const std::filesystem::path& directory) {
  constexpr int64_t max_bytes = 1 << 24;
  const fs::path path = directory / "config.json";
  ModelConfig config = parse_model_config(read_file(path, max_bytes), path.string());
  std::string names;
  const Json unknown = Json::parse(config.unknown_keys);
  for (const auto& [key, value] : unknown.items()) names += (names.empty() ? "" : ", ") + key;
  if (!names.empty()) info("{}: kept, without meaning for Minke: {}", path.string(), names);
  return config;
}

std::string write_model_config(const ModelConfig& config) {
  ModelConfig c = config;
  const bool v2 = c.model_type == ModelType::deepseek_v2;
  Json root = {{"architectures", {v2 ? "DeepseekV2ForCausalLM" : "DeepseekV3ForCausalLM"}}};
  visit_fields(c, [&](const Field& field, const auto& member) {
    root[std::string(field.name)] = field_value(member);
  });
  if (c.q_lora_rank == 0) root["q_lora_rank"] = nullptr;
  for (const char* key : {"bos_token_id", "eos_token_id"})
    if (root[key] == -1) root[key] = nullptr;
  root["num_key_value_heads"] = c.num_attention_heads;
  root["rope_scaling"] = rope_scaling_json(c);
  root["hidden_act"] = "silu";
  root["attention_bias"] = false;
  root.update(Json::parse(c.unknown_keys));
  return root.dump(2) + "\n";
}

void check_model_config(const ModelConfig& config, const std::string& where) {
  ModelConfig c = config;
  const auto check = [&](const Field& field, const auto& member) {
    using T = std::remove_cvref_t<decltype(member)>;
    if (!in_bounds(field, member))
      fail_usage("{}: {} is {}, expected {}", where, field.name, shown(field_value(member)),
                 expectation<T>(field));
  };
  visit_fields(c, check);
  visit_fields(c.rope_scaling, check);
  if (c.qk_rope_head_dim % 2 != 0)
    fail_usage("{}: qk_rope_head_dim is {}, expected an even number", where, c.qk_rope_head_dim);
  if (c.torch_dtype != "float32" && c.torch_dtype != "bfloat16" && c.torch_dtype != "float16")
    fail_usage("{}: torch_dtype is \"{}\", expected float32, bfloat16 or float16", where,
               c.torch_dtype);
  check_experts(c, where);
}

}  // namespace minke
