// minke chat MODEL: a conversation in the terminal.

#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "chat/chat.h"
#include "cli/commands.h"
#include "cli/load_options.h"

namespace minke {

void add_chat_command(CLI::App& app) {
  struct Arguments {
    std::string model, compute;
    ChatProgramOptions options;
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model");
  command->add_option("model", a->model, "Hugging Face directory, run's folder or GGUF file")
      ->required();
  command->add_option("--temperature", a->options.temperature, "0 is greedy")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--top-p", a->options.top_p, "Nucleus sampling")->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", a->options.seed, "Same seed, same answers")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--system", a->options.system, "System prompt");
  command->add_option("-n,--max-tokens", a->options.max_tokens, "Tokens of an answer at most")
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--context", a->options.context, "Tokens of the whole conversation at most")
      ->check(CLI::Range(1, 1 << 24));
  command->add_flag("--no-think", a->options.no_think, "The model is not to reason first");
  add_compute_option(*command, a->compute);
  add_memory_option(*command, a->options.memory_bytes);
  command->callback([a] {
    a->options.compute = parse_compute(a->compute);
    if (!run_chat(a->model, a->options)) fail("some lines could not be answered");
  });
}

}  // namespace minke
