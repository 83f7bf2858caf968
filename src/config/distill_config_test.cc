#include "config/distill_config.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/files.h"

namespace minke {
namespace {

const char* const recipe = R"(
model = "runs/student"
[teacher]
model = "runs/teacher"
answer_prefix = "<think>\n"
[samples]
per_problem = 8
keep = 2
[task]
families = "chain:2, countdown"
)";

std::string error_of(const std::string& toml, const std::vector<std::string>& overrides = {}) {
  try {
    parse_distill_config(toml, "r.toml", overrides);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(DistillConfig, ReadsWhatItWrites) {
  const DistillConfig config =
      parse_distill_config(recipe, "r.toml", {"method=on_policy", "on_policy.steps=5"});
  EXPECT_EQ(config.method, DistillMethod::on_policy);
  EXPECT_EQ(config.teacher.answer_prefix, "<think>\n");
  EXPECT_EQ(config.samples.keep, 2);
  const std::string written = write_distill_config(config);
  EXPECT_EQ(write_distill_config(parse_distill_config(written, "w.toml", {})), written);
}

TEST(DistillConfig, TheRecipeInTheRepositoryIsSound) {
  const fs::path path = fs::path(MINKE_SOURCE_DIR) / "recipes" / "distill_addition.toml";
  EXPECT_EQ(load_distill_config(path, {}).task.families, "addition");
}

TEST(DistillConfig, ThePageOfKeysIsUpToDate) {
  const fs::path path = fs::path(MINKE_SOURCE_DIR) / "docs" / "distill-recipes.md";
  if (std::getenv("MINKE_UPDATE_DOCS")) write_file(path, describe_distill_config());
  EXPECT_EQ(read_file(path), describe_distill_config())
      << "run config_test with MINKE_UPDATE_DOCS=1 to write it again";
}

TEST(DistillConfig, WrongRecipesAreNamed) {
  const auto names = [](const std::string& error, const char* what) {
    EXPECT_NE(error.find(what), std::string::npos) << error;
  };
  names(error_of("[teacher]\nmodel = \"a\"\n"), "model is missing");
  names(error_of("model = \"a\"\n"), "teacher.model is missing");
  names(error_of(recipe, {"samples.keep=9"}), "samples.per_problem = 8");
  names(error_of(recipe, {"sft.epochs=0"}), "more than 0");
  names(error_of(recipe, {"sft.micro_batch_tokens=16"}), "does not hold");
  names(error_of(recipe, {"teacher.prompt_template=x"}), "one {}");
  names(error_of(recipe, {"rollout.prompt_template={}{}"}), "one {}");
  names(error_of(recipe, {"method=on_policy"}), "on_policy.steps is missing");
  names(error_of(recipe, {"method=on_policy", "on_policy.steps=5", "teacher.url=http://a/v1"}),
        "no server gives");
  const std::string secret = error_of(recipe, {"teacher.url=http://me:secret@host/v1"});
  names(secret, "teacher.api_key_env");
  EXPECT_EQ(secret.find("secret"), std::string::npos);
  names(error_of(recipe, {"method=online"}), "samples | on_policy");
  names(error_of(recipe, {"teacher.api_key=secret"}), "teacher.api_key_env");
}

}  // namespace
}  // namespace minke
