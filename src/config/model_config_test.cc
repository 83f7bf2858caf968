#include "config/model_config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "config/json.h"
#include "config/parameters.h"
#include "config/presets.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

Json v3_json() {
  return Json::parse(R"({
    "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
    "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
    "bos_token_id": 0, "eos_token_id": 1, "ep_size": 1, "first_k_dense_replace": 3, "hidden_act": "silu",
    "hidden_size": 7168, "initializer_range": 0.02, "intermediate_size": 18432, "kv_lora_rank": 512,
    "max_position_embeddings": 163840, "model_type": "deepseek_v3", "moe_intermediate_size": 2048,
    "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1,
    "norm_topk_prob": true, "num_attention_heads": 128, "num_experts_per_tok": 8,
    "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06,
    "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0,
      "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096, "type": "yarn"},
    "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
    "tie_word_embeddings": false, "topk_group": 4, "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16", "transformers_version": "4.33.1", "use_cache": true,
    "v_head_dim": 128, "vocab_size": 129280})");
}

ModelConfig parse(const Json& json) { return parse_model_config(json.dump(), "config.json"); }

std::string error_of(const Json& json) {
  try {
    parse(json);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::usage);
    return e.what();
  }
  return "no error";
}

std::string error_with(const std::string& key, const Json& value) {
  Json json = v3_json();
  json[key] = value;
  return error_of(json);
}

TEST(ModelConfig, ReadsThePublishedV3) {
  const ModelConfig c = parse(v3_json());
  EXPECT_EQ(c.model_type, ModelType::deepseek_v3);
  EXPECT_EQ(c.num_nextn_predict_layers, 1);
  EXPECT_EQ(c.rope_scaling.factor, 40.0);
  EXPECT_EQ(c.rope_scaling.mscale_all_dim, 1.0);
  EXPECT_EQ(c.max_position_embeddings, 163840);
  EXPECT_EQ(c.qk_head_dim(), 192);
  EXPECT_FALSE(c.is_moe_layer(2));
  EXPECT_TRUE(c.is_moe_layer(3));
}

TEST(ModelConfig, WritesWhatItRead) {
  const ModelConfig c = parse(v3_json());
  const std::string text = write_model_config(c);
  EXPECT_EQ(write_model_config(parse_model_config(text, "again")), text);
  const Json written = Json::parse(text);
  Json published = v3_json();
  published.erase("auto_map");
  for (const auto& [key, value] : published.items()) {
    EXPECT_EQ(nlohmann::json(written.value(key, Json())), nlohmann::json(value)) << key;
  }
}

// Programs that do not know the tables must not load the rest as if it were the model.
TEST(ModelConfig, NgramModelsHaveANameOfTheirOwn) {
  ModelConfig c = parse(v3_json());
  EXPECT_FALSE(Json::parse(write_model_config(c)).contains("ngram_vocab_size"));
  c.ngram_vocab_size = 1000;
  c.max_ngram_size = 3;
  const std::string text = write_model_config(c);
  EXPECT_EQ(Json::parse(text)["model_type"], "deepseek_v3_ngram");
  const ModelConfig again = parse_model_config(text, "again");
  EXPECT_EQ(again.ngram_vocab_size, 1000);
  EXPECT_EQ(again.max_ngram_size, 3);
  EXPECT_EQ(count_parameters(again), count_parameters(parse(v3_json())) + 2 * 1000 * c.hidden_size);
  EXPECT_EQ(count_active_parameters(again),
            count_active_parameters(parse(v3_json())) + 2 * c.hidden_size);
}

TEST(ModelConfig, KeepsUnknownKeys) {
  Json json = v3_json();
  json["my_key"] = {{"a", 1}};
  const ModelConfig c = parse(json);
  EXPECT_EQ(Json::parse(c.unknown_keys)["my_key"]["a"], 1);
  EXPECT_EQ(Json::parse(write_model_config(c))["my_key"]["a"], 1);
  EXPECT_FALSE(Json::parse(c.unknown_keys).contains("hidden_size"));
}

TEST(ModelConfig, TakesTheArchitecturesDefaults) {
  const ModelConfig v3 = parse({{"model_type", "deepseek_v3"}});
  EXPECT_EQ(v3.hidden_size, 7168);
  EXPECT_EQ(v3.topk_method, TopkMethod::noaux_tc);
  EXPECT_EQ(v3.rope_scaling.factor, 1.0);
  const ModelConfig v2 = parse({{"model_type", "deepseek_v2"}, {"num_experts_per_tok", 6}});
  EXPECT_EQ(v2.hidden_size, 4096);
  EXPECT_EQ(v2.topk_method, TopkMethod::greedy);
  EXPECT_EQ(v2.scoring_func, ScoringFunc::softmax);
  EXPECT_EQ(v2.eos_token_id, 2);
}

// The shape of what transformers 5 saves: rope_parameters, dtype, nulls, no routing method.
TEST(ModelConfig, ReadsRopeParametersAndNulls) {
  Json json = v3_json();
  json["rope_scaling"] = nullptr;
  json["rope_parameters"] = {{"rope_theta", 5000.0},
                             {"rope_type", "yarn"},
                             {"type", "yarn"},
                             {"factor", 4.0},
                             {"original_max_position_embeddings", 64},
                             {"mscale_all_dim", 0.707}};
  json.erase("rope_theta");
  json.erase("torch_dtype");
  json["dtype"] = "float32";
  json["q_lora_rank"] = nullptr;
  json["bos_token_id"] = nullptr;
  json["eos_token_id"] = {1, 7};
  const ModelConfig c = parse(json);
  EXPECT_EQ(c.rope_theta, 5000.0);
  EXPECT_EQ(c.rope_scaling.factor, 4.0);
  EXPECT_EQ(c.rope_scaling.original_max_position_embeddings, 64);
  EXPECT_EQ(c.rope_scaling.mscale, 1.0);
  EXPECT_EQ(c.rope_scaling.mscale_all_dim, 0.707);
  EXPECT_EQ(c.torch_dtype, "float32");
  EXPECT_EQ(c.q_lora_rank, 0);
  EXPECT_EQ(c.bos_token_id, -1);
  EXPECT_EQ(c.eos_token_id, 1);
  const Json written = Json::parse(write_model_config(c));
  EXPECT_TRUE(written["q_lora_rank"].is_null());
  EXPECT_TRUE(written["bos_token_id"].is_null());
  EXPECT_EQ(written["eos_token_id"], Json({1, 7}));
  EXPECT_EQ(written["rope_scaling"]["factor"], 4.0);
  EXPECT_FALSE(written.contains("rope_parameters"));
}

TEST(ModelConfig, PlainRopeIsWrittenAsNull) {
  Json json = v3_json();
  json["rope_scaling"] = {{"type", "default"}};
  EXPECT_TRUE(Json::parse(write_model_config(parse(json)))["rope_scaling"].is_null());
}

TEST(ModelConfig, NamesKeyValueAndExpectation) {
  EXPECT_EQ(error_with("hidden_size", "abc"),
            "config.json: hidden_size is \"abc\", expected an integer from 1 to 131072");
  EXPECT_EQ(error_with("hidden_size", -4),
            "config.json: hidden_size is -4, expected an integer from 1 to 131072");
  EXPECT_EQ(error_with("norm_topk_prob", 1),
            "config.json: norm_topk_prob is 1, expected true or false");
  EXPECT_EQ(error_with("topk_method", "best"),
            "config.json: topk_method is \"best\", expected one of greedy | group_limited_greedy | "
            "noaux_tc");
  EXPECT_EQ(
      error_with("model_type", "gpt2"),
      "config.json: model_type is \"gpt2\", expected one of deepseek_v2 | deepseek_v3 | llama "
      "| qwen2 | qwen3");
  EXPECT_EQ(error_with("rope_scaling", Json{{"type", "linear"}, {"factor", 2}}),
            "config.json: rope_scaling.type is \"linear\", expected yarn or default");
  EXPECT_EQ(error_with("rope_scaling", Json{{"type", "yarn"}, {"factor", "x"}}),
            "config.json: rope_scaling.factor is \"x\", expected a number from 1 to 1000000");
}

TEST(ModelConfig, RefusesImpossibleValues) {
  const auto names = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  names(error_with("hidden_size", 1.5), "hidden_size is 1.5");
  names(error_with("hidden_size", nullptr), "hidden_size is null");
  names(error_with("vocab_size", 1e300), "vocab_size is 1e+300");
  names(error_with("qk_rope_head_dim", 63), "qk_rope_head_dim is 63, expected an even number");
  names(error_with("topk_group", 9), "topk_group is 9, expected at most n_group = 8");
  names(error_with("num_experts_per_tok", 129),
        "num_experts_per_tok is 129, expected from 1 to 128");
  names(error_with("n_group", 7), "n_routed_experts is 256, expected a multiple of n_group = 7");
  names(error_with("num_key_value_heads", 8), "num_key_value_heads is 8");
  names(error_with("attention_bias", true), "attention_bias is true, Minke computes only false");
  names(error_with("hidden_act", "gelu"), "hidden_act is \"gelu\"");
  names(error_with("torch_dtype", "int8"), "torch_dtype");
  names(error_with("rope_theta", "big"), "rope_theta is \"big\"");
}

TEST(ModelConfig, RefusesWhatIsNotAConfig) {
  EXPECT_THROW(parse_model_config("", "x"), Error);
  EXPECT_THROW(parse_model_config("[1]", "x"), Error);
  EXPECT_THROW(parse_model_config("{\"model_type\": \"deepseek_v3\"", "x"), Error);
  EXPECT_THROW(parse_model_config("{}", "x"), Error);
  EXPECT_THROW(load_model_config("/nonexistent"), Error);
  const std::string deep(1'000'000, '[');
  EXPECT_THROW(parse_model_config("{\"model_type\": " + deep, "x"), Error);
}

Json llama_json() {
  return Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
    "bos_token_id": 128000, "eos_token_id": 128001, "hidden_act": "silu", "hidden_size": 4096,
    "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 131072,
    "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
    "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
      "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "vocab_size": 128256})");
}

// What DeepSeek published for R1-0528-Qwen3-8B.
Json qwen3_json() {
  return Json::parse(R"({
    "attention_bias": false, "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128,
    "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 12288,
    "max_position_embeddings": 131072, "max_window_layers": 36, "model_type": "qwen3",
    "num_attention_heads": 32, "num_hidden_layers": 36, "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06, "rope_scaling": {"attn_factor": 0.8782488562869419, "factor": 4.0,
      "original_max_position_embeddings": 32768, "rope_type": "yarn"}, "rope_theta": 1000000,
    "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "use_sliding_window": false, "vocab_size": 151936})");
}

TEST(DenseModelConfig, ReadsWhatWasPublished) {
  const ModelConfig llama = parse(llama_json());
  EXPECT_FALSE(llama.is_mla());
  EXPECT_EQ(llama.head_dim, 128);
  EXPECT_EQ(llama.qk_head_dim(), 128);
  EXPECT_EQ(llama.num_key_value_heads, 8);
  EXPECT_EQ(llama.rope_scaling.rope_type, RopeType::llama3);
  EXPECT_EQ(llama.rope_scaling.high_freq_factor, 4.0);
  EXPECT_FALSE(llama.is_moe_layer(31));
  EXPECT_EQ(write_model_config(model_preset("r1-distill-llama-8b")), write_model_config([&] {
              ModelConfig c = llama;
              c.unknown_keys = "{}";
              return c;
            }()));
  const ModelConfig qwen = parse(qwen3_json());
  EXPECT_EQ(qwen.rope_scaling.rope_type, RopeType::yarn);
  EXPECT_EQ(qwen.rope_scaling.attn_factor, 0.8782488562869419);
  EXPECT_TRUE(qwen.has_qk_norm());
}

TEST(DenseModelConfig, WritesTheFamilysKeysAlone) {
  for (const Json& json : {llama_json(), qwen3_json()}) {
    const std::string text = write_model_config(parse(json));
    EXPECT_EQ(write_model_config(parse_model_config(text, "again")), text);
    const Json written = Json::parse(text);
    for (const char* key : {"kv_lora_rank", "n_group", "qk_rope_head_dim", "topk_method",
                            "num_nextn_predict_layers", "v_head_dim"})
      EXPECT_FALSE(written.contains(key)) << key;
    EXPECT_EQ(written.contains("mlp_bias"), json.contains("mlp_bias"));
    EXPECT_EQ(nlohmann::json(written["rope_scaling"]),
              nlohmann::json(json["rope_scaling"])
                  .patch(json["model_type"] == "llama"
                             ? nlohmann::json::array()
                             : nlohmann::json::parse(
                                   R"([{"op": "add", "path": "/beta_fast", "value": 32.0},
                {"op": "add", "path": "/beta_slow", "value": 1.0}])")));
  }
  EXPECT_FALSE(Json::parse(write_model_config(parse(v3_json()))).contains("head_dim"));
}

TEST(DenseModelConfig, FollowingSizesMayBeLeftOut) {
  Json json = {{"model_type", "llama"}, {"hidden_size", 96}, {"num_attention_heads", 6}};
  ModelConfig c = parse(json);
  EXPECT_EQ(c.num_key_value_heads, 6);
  EXPECT_EQ(c.head_dim, 16);
  json["num_key_value_heads"] = nullptr;
  json["head_dim"] = nullptr;
  EXPECT_EQ(write_model_config(parse(json)), write_model_config(c));
  json["head_dim"] = 20;
  json["num_key_value_heads"] = 2;
  c = parse(json);
  EXPECT_EQ(c.num_key_value_heads, 2);
  EXPECT_EQ(c.head_dim, 20);
}

TEST(DenseModelConfig, RefusesWhatItCannotCompute) {
  const auto names = [](Json json, const char* key, const Json& value, const char* part) {
    json[key] = value;
    EXPECT_NE(error_of(json).find(part), std::string::npos) << error_of(json);
  };
  names(llama_json(), "hidden_act", "gelu", "hidden_act is \"gelu\", Minke computes only");
  names(qwen3_json(), "use_sliding_window", true, "use_sliding_window is true");
  names(qwen3_json(), "layer_types", Json{"full_attention", "sliding_attention"},
        "layer_types has \"sliding_attention\"");
  names(llama_json(), "num_key_value_heads", 5,
        "num_key_value_heads is 5, expected a divisor of num_attention_heads = 32");
  names(llama_json(), "head_dim", 7, "head_dim is 7, expected an even number");
  names(llama_json(), "hidden_size", 4097, "hidden_size is 4097, expected a multiple");
  names(llama_json(), "rope_scaling", Json{{"rope_type", "linear"}, {"factor", 2}},
        "rope_scaling.rope_type is \"linear\", expected llama3, yarn or default");
  names(llama_json(), "rope_scaling", Json{{"rope_type", "llama3"}, {"low_freq_factor", 4}},
        "high_freq_factor is 4, expected more than low_freq_factor = 4");
  names(qwen3_json(), "rope_scaling", Json{{"rope_type", "yarn"}, {"factor", 2}, {"mscale", 1}},
        "rope_scaling.mscale = 1 is not known");
  names(v3_json(), "rope_scaling", Json{{"type", "llama3"}, {"factor", 2}},
        "rope_scaling.type is \"llama3\", expected yarn or default");
}

TEST(ModelConfig, PresetsAreWhole) {
  for (const std::string& name : preset_names()) {
    const ModelConfig c = model_preset(name);
    EXPECT_NO_THROW(check_model_config(c, name));
    const std::string text = write_model_config(c);
    EXPECT_EQ(write_model_config(parse_model_config(text, name)), text);
  }
  EXPECT_THROW(model_preset("13m"), Error);
}

}  // namespace
}  // namespace minke
