// minke train RECIPE: pre-training.

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "train/run.h"

namespace minke {

void add_train_command(CLI::App& app) {
  struct Arguments {
    std::string recipe;
    std::vector<std::string> overrides;
    bool resume = false, profile = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("train", "Pre-train a model as a recipe says");
  command->add_option("recipe", arguments->recipe, "Recipe in TOML; see docs/recipes.md")
      ->required();
  command->add_option("--set", arguments->overrides, "Override a key: section.key=value")
      ->expected(1)
      ->take_all();
  command->add_flag("--resume", arguments->resume, "Go on from the run's newest checkpoint");
  command->add_flag("--profile", arguments->profile,
                    "Print where the steps' time went, and write it to profile.json");
  command->callback([arguments] {
    run_training(load_train_config(arguments->recipe, arguments->overrides), arguments->resume,
                 arguments->profile);
  });
}

}  // namespace minke
