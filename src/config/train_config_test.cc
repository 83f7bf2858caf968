#include "config/train_config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"
#include "base/files.h"
#include "config/nearest.h"
#include "config/presets.h"

namespace minke {
namespace {

const char* const recipe = R"(# a comment
name = "demo"
total_tokens = 1_000_000

[model]
preset = "12m"
num_nextn_predict_layers = 1

[data]
path = "cache/data"

[optimizer]
kind = "muon"
learning_rate = 2e-3
weight_decay = 1
)";

TrainConfig parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_train_config(text, "recipe.toml", overrides);
}

std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse(text, overrides);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::usage);
    return e.what();
  }
  return "no error";
}

std::string error_with(const std::string& line) { return error_of(recipe + line + "\n"); }

TEST(TrainConfig, ReadsARecipe) {
  const TrainConfig c = parse(recipe);
  EXPECT_EQ(c.name, "demo");
  EXPECT_EQ(c.total_tokens, 1'000'000);
  EXPECT_EQ(c.model.hidden_size, 256);
  EXPECT_EQ(c.model.num_nextn_predict_layers, 1);
  EXPECT_EQ(c.optimizer.kind, OptimizerKind::muon);
  EXPECT_EQ(c.optimizer.learning_rate, 2e-3);
  EXPECT_EQ(c.optimizer.weight_decay, 1.0);
  EXPECT_EQ(c.batch.sequences, 8);
}

TEST(TrainConfig, OverridesReplaceAndAdd) {
  const TrainConfig c = parse(recipe, {"optimizer.kind=adamw", "batch.sequences=3", "name=\"a=b\"",
                                       "model.rope_scaling.factor=4.0", "output=runs/x y"});
  EXPECT_EQ(c.optimizer.kind, OptimizerKind::adamw);
  EXPECT_EQ(c.batch.sequences, 3);
  EXPECT_EQ(c.name, "a=b");
  EXPECT_EQ(c.model.rope_scaling.factor, 4.0);
  EXPECT_EQ(c.output, "runs/x y");
}

TEST(TrainConfig, WritesWhatItRead) {
  const TrainConfig c =
      parse(recipe, {"seed=9007199254740992", "optimizer.epsilon=1e-17",
                     "name=\"\\\"quoted\\\" \\u00e9\\n\"", "model.rope_scaling.factor=40"});
  const std::string text = write_train_config(c);
  const TrainConfig again = parse(text);
  EXPECT_EQ(write_train_config(again), text);
  EXPECT_EQ(again.preset, "12m");
  EXPECT_EQ(again.name, c.name);
  EXPECT_EQ(again.optimizer.epsilon, 1e-17);
  EXPECT_EQ(again.seed, uint64_t{1} << 53);
  EXPECT_EQ(write_model_config(again.model), write_model_config(c.model));
}

const char* const dense_recipe = R"(total_tokens = 1000
[model]
model_type = "llama"
hidden_size = 96
num_attention_heads = 6
num_key_value_heads = 2
[data]
path = "cache/data"
)";

TEST(TrainConfig, ReadsADenseModel) {
  const TrainConfig c = parse(dense_recipe, {"model.rope_scaling.factor=8"});
  EXPECT_EQ(c.model.model_type, ModelType::llama);
  EXPECT_EQ(c.model.head_dim, 16);
  EXPECT_EQ(c.model.n_routed_experts, 0);
  EXPECT_EQ(c.model.rope_scaling.rope_type, RopeType::llama3);
  const std::string text = write_train_config(c);
  EXPECT_EQ(write_train_config(parse(text)), text);
  EXPECT_EQ(text.find("kv_lora_rank"), std::string::npos);
  EXPECT_EQ(text.find("mscale"), std::string::npos);
  EXPECT_EQ(write_train_config(parse(recipe)).find("head_dim = 0"), std::string::npos);
}

TEST(TrainConfig, KeysOfAnotherFamilyAreErrors) {
  EXPECT_EQ(error_of(dense_recipe, {"model.kv_lora_rank=8"}),
            "--set model.kv_lora_rank=8: model.kv_lora_rank has no meaning for a llama model");
  EXPECT_EQ(error_of(recipe, {"model.num_key_value_heads=2"}),
            "--set model.num_key_value_heads=2: model.num_key_value_heads has no meaning for a "
            "deepseek_v3 model");
  EXPECT_EQ(error_of(dense_recipe, {"model.rope_scaling.beta_fast=8"}),
            "--set model.rope_scaling.beta_fast=8: model.rope_scaling.beta_fast has no meaning for "
            "a llama model with rope_type llama3");
  EXPECT_EQ(error_of(recipe, {"model.model_type=llama"}),
            "recipe.toml: model.model_type is llama, which no key makes of a deepseek_v3 model");
}

TEST(TrainConfig, TakesAModelFromAFile) {
  ModelConfig model = model_preset("107m");
  model.unknown_keys = R"({"my_key":1})";
  const fs::path folder = fs::temp_directory_path() / fmt::format("minke-config-{}", ::getpid());
  write_file(folder / "config.json", write_model_config(model));
  const std::string text =
      "total_tokens = 5\n[data]\npath = \"d\"\n[model]\nhidden_size = 384\npath = ";
  for (const fs::path& path : {folder, folder / "config.json"}) {
    const TrainConfig c = parse(text + "\"" + path.string() + "\"\n");
    EXPECT_EQ(c.model.hidden_size, 384);
    EXPECT_EQ(c.model.n_routed_experts, 32);
    EXPECT_EQ(c.model.unknown_keys, model.unknown_keys);
    EXPECT_EQ(write_model_config(parse(write_train_config(c)).model), write_model_config(c.model));
  }
  fs::remove_all(folder);
  EXPECT_NE(error_with("preset2 = 1").find("unknown key"), std::string::npos);
}

TEST(TrainConfig, NamesKeyLineAndNearestKey) {
  EXPECT_EQ(error_with("learnig_rate = 1"),
            "recipe.toml:16: unknown key 'optimizer.learnig_rate', did you mean "
            "'optimizer.learning_rate'?");
  EXPECT_EQ(error_with("sequence_length = 1"),
            "recipe.toml:16: unknown key 'optimizer.sequence_length', did you mean "
            "'data.sequence_length'?");
  EXPECT_EQ(error_with("[optimiser]\nkind = \"muon\""),
            "recipe.toml:17: unknown key 'optimiser.kind', did you mean 'optimizer.kind'?");
  EXPECT_EQ(error_with("[dta]"), "recipe.toml:16: unknown key 'dta', did you mean 'name'?");
  EXPECT_EQ(
      error_of(recipe, {"optimizer.knd=muon"}),
      "--set optimizer.knd=muon: unknown key 'optimizer.knd', did you mean 'optimizer.kind'?");
}

TEST(TrainConfig, NamesWrongTypes) {
  EXPECT_EQ(error_with("beta1 = \"x\""),
            "recipe.toml:16: optimizer.beta1 is \"x\", expected a number from 0 to 0.999999");
  EXPECT_EQ(error_with("[batch]\nsequences = 1.5"),
            "recipe.toml:17: batch.sequences is 1.5, expected an integer from 1 to 16777216");
  EXPECT_EQ(error_with("[batch]\nsequences = [1]"),
            "recipe.toml:17: batch.sequences is [1], expected an integer from 1 to 16777216");
  EXPECT_EQ(error_with("[checkpoint]\nkeep = 1979-05-27"),
            "recipe.toml:17: checkpoint.keep is [], expected an integer from 1 to 1000000");
  EXPECT_EQ(error_of(recipe, {"optimizer.kind=sgd"}),
            "--set optimizer.kind=sgd: optimizer.kind is \"sgd\", expected one of adamw | muon");
  EXPECT_EQ(
      error_of(recipe, {"optimizer.beta1=nan"}),
      "--set optimizer.beta1=nan: optimizer.beta1 is null, expected a number from 0 to 0.999999");
  EXPECT_EQ(error_of(recipe, {"recompute=1"}),
            "--set recompute=1: recompute is 1, expected true or false");
}

TEST(TrainConfig, RefusesImpossibleRecipes) {
  EXPECT_TRUE(error_with("x = ").starts_with("recipe.toml:16: not valid TOML: "));
  EXPECT_EQ(error_of(""), "recipe.toml: total_tokens is missing");
  EXPECT_EQ(error_of("total_tokens = 1"), "recipe.toml: data.path is missing");
  const auto names = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  names(error_of(recipe, {"total_tokens=0"}),
        "total_tokens is 0, expected an integer of at least 1");
  names(error_of(recipe, {"model.path=x"}), "both a preset and a path");
  names(error_of(recipe, {"model.preset=13m"}), "no model preset '13m'");
  names(error_of(recipe, {"model.qk_rope_head_dim=33"}), "qk_rope_head_dim is 33");
  names(error_of(recipe, {"data.sequence_length=5000"}), "more than model.max_position_embeddings");
  names(error_of(recipe, {"schedule.warmup_tokens=2000000"}), "schedule.warmup_tokens is 2000000");
  names(error_of(recipe, {"schedule.kind=wsd", "schedule.decay_tokens=1000001"}),
        "schedule.decay_tokens");
  for (const std::string kind : {"wsd", "deepseek_v3"})
    names(error_of(recipe, {"schedule.kind=" + kind}), "schedule.decay_tokens is missing");
  names(error_of(recipe, {"batch.initial_sequences=9"}), "batch.initial_sequences is 9");
  names(error_of(recipe, {"batch.initial_sequences=2"}), "a ramp needs both");
  names(error_of(recipe, {"batch.ramp_tokens=2"}), "a ramp needs both");
  for (const char* mean : {"beta1", "beta2", "ema_decay", "muon_momentum"})
    names(error_of(recipe, {fmt::format("optimizer.{}=1", mean)}), "to 0.999999");
  names(error_of(recipe, {"optimizer.epsilon=0"}), "optimizer.epsilon is 0");
  names(error_of(recipe, {"output="}), "output is empty");
  names(error_of(recipe, {"optimizer.moment_dtype=f16"}), "expected f32 or bf16");
  names(error_of(recipe, {"optimizer"}), "expected key=value");
  EXPECT_THROW(load_train_config("/nonexistent.toml", {}), Error);
}

TEST(TrainConfig, DocumentIsUpToDate) {
  const fs::path path = fs::path(MINKE_SOURCE_DIR) / "docs" / "recipes.md";
  if (std::getenv("MINKE_UPDATE_DOCS")) write_file(path, describe_train_config());
  EXPECT_EQ(read_file(path), describe_train_config())
      << "run this test with MINKE_UPDATE_DOCS=1 to write the page anew";
}

TEST(Nearest, PicksTheFewestEdits) {
  EXPECT_EQ(nearest("tokeniser", {"train", "tokenizer", "data"}), "tokenizer");
  EXPECT_EQ(nearest("kind", {"optimizer.kind", "king"}), "optimizer.kind");
  EXPECT_EQ(nearest("x", {}), "");
}

}  // namespace
}  // namespace minke
