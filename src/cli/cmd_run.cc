// minke run RECIPE: several stages in one. minke report RUN: what a run did.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "post/pipeline.h"
#include "post/report.h"

namespace minke {

void add_run_command(CLI::App& app) {
  struct Arguments {
    std::string recipe;
    std::vector<std::string> overrides;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("run", "Run a recipe of several stages");
  command->add_option("recipe", arguments->recipe, "Recipe in TOML; see docs/run.md")->required();
  command->add_option("--set", arguments->overrides, "output=FOLDER, or STAGE.key=value")
      ->expected(1)
      ->take_all();
  command->callback([arguments] {
    run_pipeline(load_pipeline_config(arguments->recipe, arguments->overrides), arguments->recipe);
  });
}

void add_report_command(CLI::App& app) {
  auto run = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("report", "Write what a run did as HTML and Markdown");
  command->add_option("run", *run, "Folder of a run, or of `minke run`")->required();
  command->callback([run] {
    write_report(*run);
    fmt::print("{}\n{}\n", (fs::path(*run) / "report.html").string(),
               (fs::path(*run) / "report.md").string());
  });
}

}  // namespace minke
