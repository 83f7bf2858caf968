// minke distill RECIPE: a smaller model learns from a larger one.

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "post/distill_run.h"

namespace minke {

void add_distill_command(CLI::App& app) {
  struct Arguments {
    std::string recipe;
    std::vector<std::string> overrides;
    bool resume = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("distill", "Train a model on what another one knows");
  command->add_option("recipe", arguments->recipe, "Recipe in TOML; see docs/distill.md")
      ->required();
  command->add_option("--set", arguments->overrides, "Override a key: section.key=value")
      ->expected(1)
      ->take_all();
  command->add_flag("--resume", arguments->resume,
                    "Go on with the sampling, or from the run's newest checkpoint");
  command->callback([arguments] {
    run_distill(load_distill_config(arguments->recipe, arguments->overrides), arguments->resume);
  });
}

}  // namespace minke
