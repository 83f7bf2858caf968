// minke eval MODEL --task ppl|choice --file F: how good a model is.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/compute_option.h"
#include "model/eval.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model, task, file, compute;
  int64_t context = 0;
  bool json = false;
};

Json run_perplexity(LoadedModel& model, const Arguments& a) {
  const TextEvaluation result = evaluate_text(model, read_file(a.file));
  return {{"task", a.task},
          {"context", model.max_tokens()},
          {"tokens", result.tokens},
          {"bytes", result.bytes},
          {"nats", result.nats},
          {"perplexity", result.perplexity()},
          {"bits_per_byte", result.bits_per_byte()}};
}

Json run_choices(LoadedModel& model, const Arguments& a,
                 std::span<const ChoiceQuestion> questions) {
  const ChoiceEvaluation result = evaluate_choices(model, questions);
  return {{"task", a.task},
          {"questions", result.questions},
          {"accuracy", result.accuracy()},
          {"accuracy_error", result.standard_error(result.accuracy())},
          {"accuracy_per_byte", result.accuracy_per_byte()},
          {"accuracy_per_byte_error", result.standard_error(result.accuracy_per_byte())}};
}

void print(const Arguments& a, const Json& result) {
  if (a.json) return fmt::print("{}\n", result.dump());
  for (const auto& [key, value] : result.items())
    fmt::print("{:<26}{}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
}

void run(const Arguments& a) {
  constexpr int64_t default_context = 2048;
  std::vector<ChoiceQuestion> questions;
  if (a.task == "choice") questions = read_choice_questions(a.file);
  ModelSource source = ModelSource::open(a.model);
  LoadOptions options;
  options.compute = parse_compute(a.compute);
  options.max_tokens =
      a.context ? a.context
                : std::min<int64_t>(default_context, source.config().max_position_embeddings);
  constexpr int64_t choices_at_once = 16;
  if (a.task == "choice")
    options.cache_tokens = std::max(options.max_tokens, choices_at_once * page_tokens);
  LoadedModel model(std::move(source), options);
  print(a, a.task == "choice" ? run_choices(model, a, questions) : run_perplexity(model, a));
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("eval", "Perplexity, or questions with choices");
  command->add_option("model", a->model, "Hugging Face directory, run's folder or GGUF file")
      ->required();
  command->add_option("--task", a->task, "ppl: of a text; choice: of JSON lines with questions")
      ->required()
      ->check(CLI::IsMember({"ppl", "choice"}));
  command->add_option("--file", a->file, "The text, or the questions")->required();
  command->add_option("--context", a->context, "Tokens of one window (default: 2048)")
      ->check(CLI::Range(2, 1 << 24));
  add_compute_option(*command, a->compute);
  command->add_flag("--json", a->json, "Print one JSON object");
  command->callback([a] { run(*a); });
}

}  // namespace minke
