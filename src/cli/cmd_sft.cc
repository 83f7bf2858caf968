// minke sft RECIPE: supervised fine-tuning.

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "post/sft.h"

namespace minke {

void add_sft_command(CLI::App& app) {
  struct Arguments {
    std::string recipe;
    std::vector<std::string> overrides;
    bool resume = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("sft", "Fine-tune a model on conversations");
  command->add_option("recipe", arguments->recipe, "Recipe in TOML; see docs/sft.md")->required();
  command->add_option("--set", arguments->overrides, "Override a key: section.key=value")
      ->expected(1)
      ->take_all();
  command->add_flag("--resume", arguments->resume, "Go on from the run's newest checkpoint");
  command->callback([arguments] {
    run_sft(load_sft_config(arguments->recipe, arguments->overrides), arguments->resume);
  });
}

}  // namespace minke
