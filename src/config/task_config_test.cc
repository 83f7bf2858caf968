#include "config/task_config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"

namespace minke {
namespace {

TEST(TaskConfig, ReadsSectionsAndOverrides) {
  const TaskSettings settings = parse_task_settings("[task]\nfamilies = \"chain\"\nmax_steps = 4\n",
                                                    "x.toml", {"reward.check=countdown"});
  EXPECT_EQ(settings.task.families, "chain");
  EXPECT_EQ(settings.task.max_steps, 4);
  EXPECT_EQ(settings.reward.check, AnswerCheck::countdown);
}

TEST(TaskConfig, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(parse_task_settings("[task]\nfamily = \"chain\"\n", "x.toml", {}), Error);
  EXPECT_THROW(parse_task_settings("[task]\nmax_digits = 10\n", "x.toml", {}), Error);
  EXPECT_THROW(parse_task_settings("", "x.toml", {"reward.format=thinking"}), Error);
}

TEST(TaskConfig, TheDocumentationIsUpToDate) {
  const fs::path path = fs::path(MINKE_SOURCE_DIR) / "docs" / "task-settings.md";
  if (std::getenv("MINKE_UPDATE_DOCS")) write_file(path, describe_task_settings());
  EXPECT_EQ(read_file(path), describe_task_settings())
      << "MINKE_UPDATE_DOCS=1 config_test writes the page anew";
}

}  // namespace
}  // namespace minke
