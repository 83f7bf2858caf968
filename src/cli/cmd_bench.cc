// minke bench peak | gemm | attention | train | prefill | decode | rollout

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "bench/attention.h"
#include "bench/gemm.h"
#include "bench/inference.h"
#include "bench/peak.h"
#include "bench/rollout.h"
#include "bench/train.h"
#include "cli/commands.h"
#include "cli/load_options.h"

namespace minke {
namespace {

void add_inference(CLI::App& bench, const std::string& name, const std::string& about,
                   int64_t tokens, bool decode,
                   void (*run)(const std::string& model, const InferenceBench& options)) {
  struct Arguments {
    std::string model;
    InferenceBench options;
  };
  auto a = std::make_shared<Arguments>();
  a->options.tokens = tokens;
  CLI::App* command = bench.add_subcommand(name, about);
  command->add_option("model", a->model, "Hugging Face directory, or GGUF file")->required();
  command->add_option("--tokens", a->options.tokens, "Tokens of a prompt, or steps")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command->add_option("--context", a->options.context, "Tokens in the cache before them")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command->add_option("--batch", a->options.batch, "Sequences at once")
      ->check(CLI::Range(1, 512))
      ->capture_default_str();
  add_memory_option(*command, a->options.memory_bytes);
  if (decode) {
    command
        ->add_option("--simulated-acceptance", a->options.simulated_acceptance,
                     "Also time steps that check drafts, of which this share counts as taken")
        ->check(CLI::Range(0.0, 1.0));
    command->add_option("--draft-tokens", a->options.draft_tokens, "Drafts of such a step")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
  } else {
    command->add_option("--repeat", a->options.repeat, "Prompts that are timed")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
  }
  command->add_flag("--json", a->options.json, "Print JSON");
  command->add_flag("--profile", a->options.profile, "Print where the time went");
  command->callback([a, run] { run(a->model, a->options); });
}

void add_rollout(CLI::App& bench) {
  struct Arguments {
    std::string model;
    RolloutBench options;
    bool fast = false;
    std::string quantization = "none";
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* command = bench.add_subcommand("rollout", "Measure sampling answers to learn from");
  command->add_option("model", a->model, "Hugging Face directory, or GGUF file")->required();
  const auto count = [&](const char* name, int64_t& value, const char* about, int64_t most) {
    command->add_option(name, value, about)
        ->check(CLI::Range(int64_t{1}, most))
        ->capture_default_str();
  };
  count("--prompt-tokens", a->options.prompt_tokens, "Tokens of a prompt", 1 << 20);
  count("--tokens", a->options.tokens, "Tokens of an answer", 1 << 20);
  count("--answers", a->options.answers, "Answers that grow at once", 512);
  count("--group", a->options.group, "Answers to one prompt", 512);
  CLI::Option* fast =
      command->add_flag("--fast", a->fast, "Attention in the form that is fast, not the trainer's");
  command
      ->add_option("--quantization", a->quantization, "Format of the weights: none, q8_0 or q4_0")
      ->needs(fast)
      ->check(CLI::IsMember({"none", "q8_0", "q4_0"}))
      ->capture_default_str();
  command->add_flag("--json", a->options.json, "Print JSON");
  command->callback([a] {
    a->options.exact = !a->fast;
    if (a->quantization != "none") a->options.quantization = parse_quantization(a->quantization);
    bench_rollout(a->model, a->options);
  });
}

}  // namespace

void add_bench_command(CLI::App& app) {
  struct Arguments {
    std::string preset = "12m";
    int steps = 10;
    std::vector<int64_t> lengths = {256, 1024, 4096, 16384};
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

  CLI::App* attention = bench->add_subcommand("attention", "Measure attention");
  attention->add_option("--preset", arguments->preset, "A model with latent attention")
      ->capture_default_str();
  attention->add_option("--tokens", arguments->lengths, "Lengths of a sequence")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  attention->add_flag("--json", arguments->json, "Print JSON");
  attention->callback(
      [arguments] { bench_attention(arguments->preset, arguments->lengths, arguments->json); });

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

  add_inference(*bench, "prefill", "Measure reading prompts", 512, false, bench_prefill);
  add_inference(*bench, "decode", "Measure writing tokens", 32, true, bench_decode);
  add_rollout(*bench);
}

}  // namespace minke
