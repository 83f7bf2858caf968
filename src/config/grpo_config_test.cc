#include "config/grpo_config.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/files.h"

namespace minke {
namespace {

const char* const recipe = R"(
model = "runs/base"
steps = 7
[rollout]
group = 4
mode = "fast"
[loss]
normalization = "constant"
clip_high = 0.28
[task]
families = "chain:2, countdown"
[checkpoint]
)";

std::string error_of(const std::string& toml, const std::vector<std::string>& overrides = {}) {
  try {
    parse_grpo_config(toml, "r.toml", overrides);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(GrpoConfig, ReadsWhatItWrites) {
  const GrpoConfig config = parse_grpo_config(recipe, "r.toml", {"optimizer.learning_rate=2e-4"});
  EXPECT_EQ(config.rollout.group, 4);
  EXPECT_EQ(config.rollout.mode, RolloutMode::fast);
  EXPECT_EQ(config.rollout.quantization, RolloutQuantization::none);
  EXPECT_EQ(config.loss.normalization, LossNormalization::constant);
  EXPECT_EQ(config.optimizer.learning_rate, 2e-4);
  EXPECT_EQ(config.task.families, "chain:2, countdown");
  const std::string written = write_grpo_config(config);
  EXPECT_EQ(write_grpo_config(parse_grpo_config(written, "w.toml", {})), written);
}

TEST(GrpoConfig, TheRecipesInTheRepositoryAreSound) {
  const fs::path folder = fs::path(MINKE_SOURCE_DIR) / "recipes";
  EXPECT_EQ(load_grpo_config(folder / "grpo_addition.toml", {}).task.families, "addition");
  EXPECT_EQ(load_grpo_config(folder / "grpo_smollm2.toml", {}).task.form, PromptForm::spaced);
}

TEST(GrpoConfig, ThePageOfKeysIsUpToDate) {
  const fs::path path = fs::path(MINKE_SOURCE_DIR) / "docs" / "grpo-recipes.md";
  if (std::getenv("MINKE_UPDATE_DOCS")) write_file(path, describe_grpo_config());
  EXPECT_EQ(read_file(path), describe_grpo_config())
      << "run config_test with MINKE_UPDATE_DOCS=1 to write it again";
}

TEST(GrpoConfig, WrongRecipesAreNamed) {
  EXPECT_NE(error_of(recipe, {"lora.adapter=x"}).find("lora.rank is 0"), std::string::npos);
  EXPECT_NE(error_of(recipe, {"lora.rank=-1"}).find("from 0 to 65536"), std::string::npos);
  EXPECT_NE(error_of(recipe, {"lora.rank=4", "lora.alpha=0"}).find("lora.alpha"),
            std::string::npos);
  EXPECT_NE(error_of(recipe, {"lora.rank=4", "optimizer.ema_decay=0.9"}).find("ema_decay"),
            std::string::npos);
  EXPECT_NE(error_of(recipe, {"optimizer.moment_dtype=f16"}).find("expected f32 or bf16"),
            std::string::npos);
  EXPECT_NE(error_of("model = \"a\"\n").find("steps is missing"), std::string::npos);
  EXPECT_NE(error_of("steps = 1\n").find("model is missing"), std::string::npos);
  EXPECT_NE(error_of(recipe, {"rollout.grup=3"}).find("rollout.group"), std::string::npos);
  EXPECT_NE(error_of(recipe, {"loss.clip_low=2"}).find("from 0 to 1"), std::string::npos);
  EXPECT_NE(error_of(recipe, {"rollout.mode=quick"}).find("exact | fast"), std::string::npos);
  const std::string quantized = "rollout.quantization=q8_0";
  EXPECT_EQ(error_of(recipe, {quantized}), "");
  EXPECT_NE(error_of(recipe, {"rollout.quantization=q3"}).find("none | q8_0 | q4_0"),
            std::string::npos);
  EXPECT_NE(error_of(recipe, {quantized, "rollout.mode=exact"}).find("set rollout.mode = \"fast\""),
            std::string::npos);
  EXPECT_NE(error_of(recipe, {quantized, "compute=f32"}).find("set compute = \"bf16\""),
            std::string::npos);
  EXPECT_NE(error_of(recipe, {"rollout.prompt_template=x"}).find("one {}"), std::string::npos);
  EXPECT_NE(error_of(recipe, {"update.micro_batch_tokens=16"}).find("does not hold"),
            std::string::npos);
}

}  // namespace
}  // namespace minke
