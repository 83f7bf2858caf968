#include "config/pipeline_config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"

namespace minke {
namespace {

constexpr const char* recipe = R"(output = "out"
[[stage]]
name = "text"
command = "data tasks {recipe} --out {output}/text.jsonl"
recipe.text.samples = 12
[[stage]]
name = "base"
command = "train"
[stage.recipe]
total_tokens = 100
data.path = "{text}/shards"
model.vocab_size = 7
[[stage]]
name = "again"
like = "base"
recipe.total_tokens = 200
recipe.rollout.prompt_template = "{}"
)";

std::string error_of(const std::string& toml, const std::vector<std::string>& overrides = {}) {
  try {
    parse_pipeline_config(toml, "run.toml", overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "";
}

nlohmann::json value(const StageConfig& stage, const std::string& key) {
  const RecipeValues values = parse_recipe(stage.recipe, "stage", {});
  const auto found = values.find(key);
  return found == values.end() ? nlohmann::json() : found->second.value;
}

using Words = std::vector<std::string>;

TEST(PipelineConfig, StagesKnowTheirFoldersAndRecipes) {
  const PipelineConfig config = parse_pipeline_config(recipe, "run.toml", {});
  ASSERT_EQ(config.stages.size(), 3u);
  EXPECT_EQ(config.stages[0].command,
            (Words{"data", "tasks", "out/recipes/text.toml", "--out", "out/text.jsonl"}));
  EXPECT_EQ(value(config.stages[0], "text.samples"), 12);
  EXPECT_EQ(value(config.stages[0], "output"), nlohmann::json());
  EXPECT_EQ(config.stages[1].command, (Words{"train", "out/recipes/base.toml", "--resume"}));
  EXPECT_EQ(value(config.stages[1], "data.path"), "out/text/shards");
  EXPECT_EQ(value(config.stages[1], "output"), "out/base");
  EXPECT_EQ(value(config.stages[1], "name"), "base");
  EXPECT_EQ(value(config.stages[2], "total_tokens"), 200);
  EXPECT_EQ(value(config.stages[2], "model.vocab_size"), 7);
  EXPECT_EQ(value(config.stages[2], "output"), "out/again");
  EXPECT_EQ(value(config.stages[2], "rollout.prompt_template"), "{}");
}

TEST(PipelineConfig, Overrides) {
  const PipelineConfig config = parse_pipeline_config(
      recipe, "run.toml", {"output=a folder", "base.total_tokens=5", "cost.per_core_hour=2"});
  EXPECT_EQ(config.cost.per_core_hour, 2);
  EXPECT_EQ(config.stages[0].command.back(), "a folder/text.jsonl");
  EXPECT_EQ(value(config.stages[1], "total_tokens"), 5);
  EXPECT_EQ(value(config.stages[2], "total_tokens"), 200);
}

TEST(PipelineConfig, WrongRecipesAreNamed) {
  const std::string text = recipe;
  EXPECT_NE(error_of("output = 'x'").find("no [[stage]]"), std::string::npos);
  EXPECT_NE(error_of(text + "[[stage]]\nname = 'base'\ncommand = 'x'").find("two stages"),
            std::string::npos);
  EXPECT_NE(error_of(text + "[[stage]]\nname = 'x'").find("no command"), std::string::npos);
  EXPECT_NE(error_of(text + "[[stage]]\nname = 'x y'\ncommand = 'x'").find("\"x y\""),
            std::string::npos);
  EXPECT_NE(error_of(text + "[[stage]]\nname = 'x'\nlike = 'y'").find("like y"), std::string::npos);
  EXPECT_NE(error_of(text + "[[stage]]\nname = 'x'\ncommand = 'data {later}'").find("{later}"),
            std::string::npos);
  EXPECT_NE(
      error_of(text + "[[stage]]\nname = 'x'\ncomand = 'train'").find("did you mean 'command'"),
      std::string::npos);
  EXPECT_NE(error_of(text + "[[stage]]\nname = 'x'\ncommand = 3").find("expected a string"),
            std::string::npos);
  EXPECT_NE(error_of("stage = 3").find("expected tables"), std::string::npos);
  EXPECT_NE(error_of(recipe, {"bse.total_tokens=5"}).find("bse.total_tokens"), std::string::npos);
}

TEST(PipelineConfig, ARecipeFileIsOverriddenByTheStage) {
  const fs::path folder = fs::path(testing::TempDir()) / "minke-pipeline-config";
  fs::create_directories(folder);
  write_file(folder / "base.toml", "total_tokens = 3\n[model]\nvocab_size = 9\n");
  write_file(folder / "run.toml",
             "[[stage]]\nname='a'\ncommand='train'\nfrom='base.toml'\nrecipe.total_tokens=4\n");
  const PipelineConfig config = load_pipeline_config((folder / "run.toml").string(), {});
  EXPECT_EQ(value(config.stages[0], "total_tokens"), 4);
  EXPECT_EQ(value(config.stages[0], "model.vocab_size"), 9);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace minke
