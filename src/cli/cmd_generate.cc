// minke generate MODEL -p TEXT: continue a text.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/machine.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/compute_option.h"
#include "infer/generate.h"

namespace minke {
namespace {

struct Arguments {
  std::string model, prompt, prompt_file, compute;
  GenerationOptions options;
  bool json = false, greedy = false;
};

std::vector<int32_t> prompt_tokens(const Arguments& a, const Tokenizer& tokenizer) {
  const std::string text = a.prompt_file.empty() ? a.prompt : read_file(a.prompt_file);
  auto tokens = tokenizer.encode(text, {tokenizer.adds_bos()});
  if (tokens.empty() && tokenizer.eos_id()) tokens.push_back(*tokenizer.eos_id());
  return tokens;
}

// cpu_share: of its threads' time that the program had while it wrote.
void report(const Arguments& a, const LoadedModel& model, size_t prompt, const Generation& result,
            double cpu_share) {
  const double rate =
      (result.tokens.size() - 1.0) / std::max(1e-9, result.generation_seconds);  // after the first
  info("{} prompt tokens in {:.2f} s; {} tokens, {:.1f} a second", prompt, result.prompt_seconds,
       result.tokens.size(), rate);
  if (!a.json) return;
  const nlohmann::ordered_json json = {{"text", result.text},
                                       {"tokens", result.tokens},
                                       {"finish_reason", finish_reason_name(result.finish)},
                                       {"prompt_tokens", prompt},
                                       {"prompt_seconds", result.prompt_seconds},
                                       {"generation_seconds", result.generation_seconds},
                                       {"tokens_per_second", rate},
                                       {"model", a.model},
                                       {"compute", dtype_name(model.compute())},
                                       {"threads", thread_count()},
                                       {"cpu_share", cpu_share},
                                       {"planned_memory_bytes", model.planned_bytes()}};
  fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void run(Arguments a) {
  if (a.greedy) a.options.sampling.temperature = 0;
  ModelSource source = ModelSource::open(a.model);
  const auto prompt = prompt_tokens(a, source.tokenizer());
  LoadOptions load;
  load.compute = parse_compute(a.compute);
  load.max_tokens = static_cast<int64_t>(prompt.size()) + a.options.max_tokens;
  load.batch_logits = 1 + a.options.draft_tokens;
  LoadedModel model(std::move(source), load);
  const auto show = [&](const std::string& text) {
    if (a.json) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  const double cpu = cpu_seconds(), start = now_seconds();
  const Generation result = generate(model, prompt, a.options, show);
  const double share = (cpu_seconds() - cpu) / (now_seconds() - start) / thread_count();
  show("\n");
  report(a, model, prompt.size(), result, share);
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("generate", "Continue a text");
  command->add_option("model", a->model, "Hugging Face directory, or a run's folder")->required();
  auto* prompt = command->add_option("-p,--prompt", a->prompt, "Text to continue");
  command->add_option("--prompt-file", a->prompt_file, "File with the text")->excludes(prompt);
  command->add_option("-n,--max-tokens", a->options.max_tokens, "Tokens to write at most")
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--temperature", a->options.sampling.temperature, "0 is greedy")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--top-p", a->options.sampling.top_p, "Nucleus sampling")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", a->options.sampling.seed, "Same seed, same text");
  command->add_flag("--greedy", a->greedy, "The most likely token each time");
  add_compute_option(*command, a->compute);
  command->add_flag("--json", a->json, "Print one JSON object");
  command->callback([a] { run(*a); });
}

}  // namespace minke
