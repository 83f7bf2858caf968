// minke eval MODEL --task NAME: how good a model is.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/load_options.h"
#include "config/task_config.h"
#include "data/compressors.h"
#include "ledger/version.h"
#include "model/eval.h"
#include "post/eval.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model, task, file, compute;
  int64_t context = 0;
  bool compressors = false, json = false;

  // Of tasks with problems to answer.
  std::string recipe, split = "test", prompt = "plain", output;
  std::vector<std::string> overrides;
  int64_t problems = 200, parallel = 32;
  bool greedy = false;
  EvalOptions eval;
};

Json run_perplexity(LoadedModel& model, const Arguments& a) {
  const std::string text = read_file(a.file);
  const TextEvaluation result = evaluate_text(model, text);
  Json json = {{"task", a.task},
               {"context", model.max_tokens()},
               {"tokens", result.tokens},
               {"bytes", result.bytes},
               {"nats", result.nats},
               {"perplexity", result.perplexity()},
               {"bits_per_byte", result.bits_per_byte()}};
  if (a.compressors) {
    const double bits = 8.0 / static_cast<double>(text.size());
    json["xz_bits_per_byte"] = bits * static_cast<double>(xz_bytes(text));
    json["gzip_bits_per_byte"] = bits * static_cast<double>(gzip_bytes(text));
  }
  return json;
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

// The families or the file that --task names, beside the recipe's settings.
TaskSettings task_settings(const Arguments& a) {
  std::vector<std::string> overrides = a.overrides;
  const bool is_file = a.task.ends_with(".jsonl");
  overrides.push_back(
      fmt::format("task.{}={}", is_file ? "path" : "families", nlohmann::json(a.task).dump()));
  if (is_file) overrides.emplace_back("task.families=\"jsonl\"");
  return parse_task_settings(a.recipe.empty() ? "" : read_file(a.recipe), a.recipe, overrides);
}

int64_t longest_prompt(const Arguments& a, const std::vector<Problem>& problems,
                       const Tokenizer& tokenizer, const ChatTemplate* chat_template) {
  size_t longest = 0;
  for (const Problem& problem : problems)
    longest = std::max(longest,
                       make_prompt(problem, a.eval.style, tokenizer, chat_template).tokens.size());
  return static_cast<int64_t>(longest);
}

void run_task(Arguments a) {
  if (a.greedy) a.eval.sampling.temperature = 0;
  a.eval.style = parse_prompt_style(a.prompt);
  const TaskSettings settings = task_settings(a);
  const auto task = make_task(settings.task);
  const auto reward = make_reward(settings.reward, settings.sandbox);
  const std::vector<Problem> problems =
      distinct_problems(*task, parse_split(a.split), static_cast<uint64_t>(a.problems));
  if (problems.empty()) fail_usage("task {}: the {} split has no problems", a.task, a.split);
  std::optional<AtomicFile> output;  // a place that cannot be written is told before the work
  if (!a.output.empty()) output.emplace(a.output);
  ModelSource source = ModelSource::open(a.model);
  const Tokenizer tokenizer = source.tokenizer();
  std::optional<ChatTemplate> chat;
  if (a.eval.style == PromptStyle::chat) chat = source.chat_template(tokenizer);
  const ChatTemplate* chat_template = chat ? &*chat : nullptr;
  LoadOptions options;
  options.compute = parse_compute(a.compute);
  options.max_tokens = longest_prompt(a, problems, tokenizer, chat_template) + a.eval.max_tokens;
  options.cache_tokens = a.parallel * (options.max_tokens + page_tokens);
  options.batch_tokens = std::max(options.batch_tokens, a.parallel);
  options.batch_logits = std::max(options.batch_logits, a.parallel);
  LoadedModel model(std::move(source), options);
  EngineOptions engine_options;
  engine_options.max_sequences = a.parallel;
  Engine engine(model, tokenizer, engine_options);
  const EvalResult result = evaluate(engine, tokenizer, chat_template, problems, *reward, a.eval);
  const auto report = [&](bool samples) {
    Json json = {{"task", a.task},           {"split", a.split},
                 {"model", a.model},         {"compute", dtype_name(model.compute())},
                 {"commit", code_version()}, {"settings", to_json(settings)}};
    if (!samples && !a.json) json.erase("settings");  // too long to be read in a table
    json.update(to_json(result, a.eval, samples));
    return json;
  };
  if (output) {
    output->write(report(true).dump(1) + "\n");
    output->commit();
  }
  print(a, report(false));
}

void run(const Arguments& a) {
  if (a.task != "choice" && a.task != "ppl") return run_task(a);
  if (a.file.empty()) fail_usage("--task {} needs --file", a.task);
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

void add_task_options(CLI::App& command, Arguments& a) {
  SamplingOptions& sampling = a.eval.sampling;
  command.add_option("--recipe", a.recipe, "TOML with [task], [reward], [sandbox]");
  command.add_option("--set", a.overrides, "task.max_digits=4: overrides the recipe");
  command.add_option("--split", a.split, "train, validation or test")->capture_default_str();
  command.add_option("--problems", a.problems, "How many, at most")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command.add_option("--samples", a.eval.samples, "Answers to each problem")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command.add_option("--prompt", a.prompt, "plain, r1_zero or chat")->capture_default_str();
  command.add_option("--max-tokens", a.eval.max_tokens, "Of an answer")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command.add_option("--temperature", sampling.temperature, "Of the samples")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command.add_option("--top-p", sampling.top_p, "Smallest set of tokens with this probability")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  command.add_option("--seed", sampling.seed, "Of the samples")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_flag("--greedy", a.greedy, "The most likely token each time");
  command.add_option("--stop", a.eval.stop, "Text that ends an answer; any number of times");
  command.add_option("--parallel", a.parallel, "Answers that grow at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--output", a.output, "JSON file with every prompt, answer and verdict");
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("eval", "Tasks, perplexity, or questions with choices");
  command->add_option("model", a->model, "Hugging Face directory, run's folder or GGUF file")
      ->required();
  command
      ->add_option("--task", a->task,
                   "ppl: of a text; choice: of questions in JSON lines; or families of problems, "
                   "addition for one; or a .jsonl file of problems")
      ->required();
  command->add_option("--file", a->file, "ppl and choice: the text, or the questions");
  add_task_options(*command, *a);
  command->add_option("--context", a->context, "Tokens of one window (default: 2048)")
      ->check(CLI::Range(2, 1 << 24));
  add_compute_option(*command, a->compute);
  command->add_flag("--compressors", a->compressors,
                    "ppl: also what xz -9 and gzip -9 make of the text");
  command->add_flag("--json", a->json, "Print one JSON object");
  command->callback([a] { run(*a); });
}

}  // namespace minke
