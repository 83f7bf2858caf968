// minke grpo RECIPE: reinforcement learning from checkable rewards.

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "post/grpo_run.h"

namespace minke {

void add_grpo_command(CLI::App& app) {
  struct Arguments {
    std::string recipe;
    std::vector<std::string> overrides;
    bool resume = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("grpo", "Train a model by rewards that can be checked");
  command->add_option("recipe", arguments->recipe, "Recipe in TOML; see docs/grpo.md")->required();
  command->add_option("--set", arguments->overrides, "Override a key: section.key=value")
      ->expected(1)
      ->take_all();
  command->add_flag("--resume", arguments->resume, "Go on from the run's newest checkpoint");
  command->callback([arguments] {
    run_grpo(load_grpo_config(arguments->recipe, arguments->overrides), arguments->resume);
  });
}

}  // namespace minke
