// minke bench peak | gemm

#include <CLI/CLI.hpp>
#include <memory>

#include "bench/gemm.h"
#include "bench/peak.h"
#include "cli/commands.h"

namespace minke {

void add_bench_command(CLI::App& app) {
  struct Arguments {
    std::string preset = "12m";
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* bench = app.add_subcommand("bench", "Measure this machine and Minke against it");
  bench->require_subcommand(1);

  CLI::App* peak = bench->add_subcommand("peak", "Measure what memory and arithmetic can do");
  peak->add_flag("--json", arguments->json, "Print JSON");
  peak->callback([arguments] { bench_peak(arguments->json); });

  CLI::App* gemm = bench->add_subcommand("gemm", "Measure the matrix products of training");
  gemm->add_option("--preset", arguments->preset, "The model: 12m or 107m")->capture_default_str();
  gemm->add_flag("--json", arguments->json, "Print JSON");
  gemm->callback([arguments] { bench_gemm(arguments->preset, arguments->json); });
}

}  // namespace minke
