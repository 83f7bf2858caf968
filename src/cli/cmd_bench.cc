// minke bench peak | gemm | train

#include <CLI/CLI.hpp>
#include <memory>

#include "bench/gemm.h"
#include "bench/peak.h"
#include "bench/train.h"
#include "cli/commands.h"

namespace minke {

void add_bench_command(CLI::App& app) {
  struct Arguments {
    std::string preset = "12m";
    int steps = 10;
    bool json = false, stored = false, profile = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* bench = app.add_subcommand("bench", "Measure this machine and Minke against it");
  bench->require_subcommand(1);

  CLI::App* peak = bench->add_subcommand("peak", "Measure what memory and arithmetic can do");
  peak->add_flag("--json", arguments->json, "Print JSON");
  peak->callback([arguments] { bench_peak(arguments->json); });

  CLI::App* gemm = bench->add_subcommand("gemm", "Measure matrix products");
  gemm->add_option("--preset", arguments->preset, "The model: 12m or 107m")->capture_default_str();
  gemm->add_flag("--json", arguments->json, "Print JSON");
  gemm->add_flag("--stored", arguments->stored,
                 "Products with the weights of a model file instead of those of training");
  gemm->callback([arguments] {
    if (arguments->stored)
      bench_stored_gemm(arguments->json);
    else
      bench_gemm(arguments->preset, arguments->json);
  });

  CLI::App* train = bench->add_subcommand("train", "Measure whole training steps");
  train->add_option("--preset", arguments->preset, "The model: 12m or 107m")->capture_default_str();
  train->add_option("--steps", arguments->steps, "Steps that are timed")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  train->add_flag("--json", arguments->json, "Print JSON");
  train->add_flag("--profile", arguments->profile, "Print where the time went");
  train->callback([arguments] {
    bench_train(arguments->preset, arguments->steps, arguments->json, arguments->profile);
  });
}

}  // namespace minke
