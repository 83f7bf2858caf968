// minke ledger RUN: what a run did and what it cost.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "ledger/ledger.h"
#include "post/pipeline.h"

namespace minke {

void add_ledger_command(CLI::App& app) {
  struct Arguments {
    std::string run;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("ledger", "Print what a run did and what it cost");
  command->add_option("run", arguments->run, "Folder of a run or of `minke run`, or a ledger.json")
      ->required();
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([arguments] {
    const fs::path run = arguments->run;
    if (fs::exists(run / "stages.json")) {
      const std::string table = stage_table(load_pipeline_record(run));
      std::fputs((arguments->json ? read_file(run / "stages.json") : table).c_str(), stdout);
      return;
    }
    const Ledger ledger = load_ledger(arguments->run);
    const std::string text = arguments->json ? write_ledger(ledger) : ledger_table(ledger);
    std::fputs(text.c_str(), stdout);
  });
}

}  // namespace minke
