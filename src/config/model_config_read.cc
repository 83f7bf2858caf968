// How config.json becomes a ModelConfig.
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
    {"bos_token_id", -1},    {"eos_token_id", -1},    {"num_key_value_heads", 0},
    {"head_dim", 0},
};

// Keys that Minke writes itself or that follow from others; auto_map names Python files that do not
// travel with the weights.
const std::set<std::string> derived_keys = {
    "architectures", "model_type",      "head_dim",   "qk_head_dim", "num_key_value_heads",
    "rope_scaling",  "rope_parameters", "rope_theta", "auto_map"};

// Keys that change what the model computes, and the only value that Minke computes, by the kinds of
// models for which the key means something.
struct FixedKey {
  const char* key;
  Json value;
  uint32_t kinds;
};
const std::vector<FixedKey>& fixed_keys() {
  static const std::vector<FixedKey> keys = {{"hidden_act", "silu", ~0u},
                                             {"attention_bias", false, mla_models},
                                             {"mlp_bias", false, mla_models},
                                             {"rope_interleave", true, mla_models},
                                             {"use_sliding_window", false, dense_models}};
  return keys;
}

// One config.json while it is read: the keys that found no reader are left in `rest`.
class ConfigReader {
 public:
  ConfigReader(Json root, std::string where) : rest_(std::move(root)), where_(std::move(where)) {}

  ModelConfig read() {
    if (!rest_.is_object()) fail_usage("{}: a JSON object was expected", where_);
    ModelConfig c = model_defaults(read_model_type());
    visit_fields(c, [&](const Field& field, auto& member) {
      if (field.name != "model_type" && has_field(c, field)) read_member(field, member);
    });
    read_rope(c);
    check_fixed_keys(c);
    for (const std::string& key : derived_keys) rest_.erase(key);
    c.unknown_keys = rest_.dump();
    resolve_model_config(c);
    check_model_config(c, where_);
    return c;
  }

 private:
  ModelType read_model_type() {
    if (!rest_.contains("model_type")) fail_usage("{}: model_type is missing", where_);
    Json name = rest_["model_type"];
    if (name.is_string() && name.get<std::string>().ends_with(ngram_suffix))
      name =
          name.get<std::string>().substr(0, name.get<std::string>().size() - ngram_suffix.size());
    ModelType type{};
    read_field(name, Field{"model_type", ""}, where_, "model_type", type);
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

  // False for plain RoPE.
  bool read_rope_type(const Json& rope, const std::string& key, ModelConfig& c) {
    const std::string type_key = rope.contains("rope_type") ? "rope_type" : "type";
    const Json type = rope.value(type_key, Json("default"));
    if (type == "default") return false;
    if (type == "yarn")
      c.rope_scaling.rope_type = c.is_mla() ? RopeType::deepseek_yarn : RopeType::yarn;
    else if (type == "llama3" && !c.is_mla())
      c.rope_scaling.rope_type = RopeType::llama3;
    else
      fail_usage("{}: {}.{} is {}, expected {}yarn or default", where_, key, type_key, shown(type),
                 c.is_mla() ? "" : "llama3, ");
    return true;
  }

  void read_scaling(const Json& rope, const std::string& key, ModelConfig& c) {
    if (!read_rope_type(rope, key, c)) return;
    // What DeepSeek's own code and transformers take when these keys are missing.
    c.rope_scaling.mscale_all_dim = 0.0;
    c.rope_scaling.original_max_position_embeddings = c.max_position_embeddings;
    std::set<std::string, std::less<>> known = {"rope_type", "type", "rope_theta"};
    visit_fields(c.rope_scaling, [&](const Field& field, auto& member) {
      const std::string name(field.name);
      if (name == "rope_type" || !has_field(c.rope_scaling, field)) return;
      known.insert(name);
      if (rope.contains(name) && !(rope[name].is_null() && name == "attention_factor"))
        read_field(rope[name], field, where_, key + "." + name, member);
    });
    for (const auto& [name, value] : rope.items())
      if (!known.contains(name) && !value.is_null())
        fail_usage("{}: {}.{} = {} is not known to Minke, and it would change the positions",
                   where_, key, name, shown(value));
  }

  void check_fixed_keys(const ModelConfig& c) {
    for (const auto& [key, value, kinds] : fixed_keys()) {
      if ((kinds & kinds_of(c.model_type)) == 0) continue;
      if (rest_.contains(key) && rest_[key] != value)
        fail_usage("{}: {} is {}, Minke computes only {}", where_, key, shown(rest_[key]),
                   shown(value));
      rest_.erase(key);
    }
    if (c.is_mla())
      check_latent_heads(c);
    else
      check_layer_types();
  }

  void check_latent_heads(const ModelConfig& c) const {
    const Json heads = rest_.value("num_key_value_heads", Json());
    if (!heads.is_null() && heads != c.num_attention_heads)
      fail_usage("{}: num_key_value_heads is {}, latent attention needs num_attention_heads = {}",
                 where_, shown(heads), c.num_attention_heads);
  }

  // Newer files tell each layer's kind of attention.
  void check_layer_types() const {
    const Json types = rest_.value("layer_types", Json::array());
    for (const Json& type : types)
      if (type != "full_attention")
        fail_usage("{}: layer_types has {}, Minke computes only \"full_attention\"", where_,
                   shown(type));
  }

  Json rest_;
  std::string where_;
};

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

}  // namespace minke
