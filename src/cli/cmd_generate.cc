// minke generate MODEL -p TEXT: continue a text.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/machine.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/load_options.h"
#include "infer/constrained.h"
#include "infer/generate.h"
#include "infer/generation_config.h"
#include "infer/json_schema.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

struct Arguments {
  std::string model, prompt, prompt_file, compute, schema_file, grammar_file, system, thinking;
  int64_t memory_bytes = 0;  // that the model may take; 0: what the machine grants
  std::optional<int64_t> max_tokens, top_k;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  uint64_t seed = 0;
  GenerationOptions options;
  bool json = false, greedy = false, chat = false;
};

struct Prompt {
  std::vector<int32_t> tokens;
  bool in_reasoning = false;  // the model goes on inside of <think>
};

std::string prompt_text(const Arguments& a) {
  return a.prompt_file.empty() ? a.prompt : read_file(a.prompt_file);
}

Prompt plain_prompt(const Arguments& a, const Tokenizer& tokenizer) {
  Prompt prompt{tokenizer.encode(prompt_text(a), {tokenizer.adds_bos()})};
  if (prompt.tokens.empty() && tokenizer.eos_id()) prompt.tokens.push_back(*tokenizer.eos_id());
  return prompt;
}

ChatMessage message_of(const std::string& role, std::string content) {
  ChatMessage message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

// The text as a user's turn, by the model's chat template.
Prompt chat_prompt(Arguments& a, const ModelSource& source, const Tokenizer& tokenizer) {
  const ChatTemplate chat_template = source.chat_template(tokenizer);
  std::vector<ChatMessage> messages;
  if (!a.system.empty()) messages.push_back(message_of("system", a.system));
  messages.push_back(message_of("user", prompt_text(a)));
  ChatOptions options;
  if (!a.thinking.empty()) options.thinking = a.thinking == "on";
  a.options.stop_tokens = chat_template.stop_ids(tokenizer);
  return {chat_template.render(tokenizer, messages, options),
          chat_template.prompt(messages, options).in_reasoning};
}

// What --json-schema or --grammar lets come; after the reasoning, if the model reasons.
std::shared_ptr<TokenGrammar> make_grammar(const Arguments& a, const Tokenizer& tokenizer,
                                           bool in_reasoning) {
  const bool is_schema = !a.schema_file.empty();
  if (!is_schema && a.grammar_file.empty()) return nullptr;
  const std::string where = is_schema ? a.schema_file : a.grammar_file;
  const std::string file = read_file(where);
  const Grammar grammar =
      Grammar::parse(is_schema ? json_schema_grammar(file, where) : file, where);
  const auto trie = std::make_shared<const TokenTrie>(tokenizer);
  const std::vector<int32_t> ends = end_tokens(tokenizer, a.options.stop_tokens);
  std::shared_ptr<TokenGrammar> constraint = std::make_shared<GrammarConstraint>(
      std::make_shared<CompiledGrammar>(grammar, where, trie, ends));
  if (!in_reasoning) return constraint;
  return std::make_shared<ConstraintAfter>(
      std::move(constraint), tokenizer.require_special(special::think_end), *trie, ends);
}

// What is recommended for the model, but for what the call says.
SamplingOptions sampling_of(const Arguments& a, const ModelSource& source) {
  SamplingOptions sampling = recommended_sampling(source);
  sampling.temperature = a.greedy ? 0 : a.temperature.value_or(sampling.temperature);
  sampling.top_p = a.top_p.value_or(sampling.top_p);
  sampling.top_k = a.top_k.value_or(sampling.top_k);
  sampling.min_p = a.min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = a.repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.seed = a.seed;
  return sampling;
}

// cpu_share: of its threads' time that the program had while it wrote.
void report(const Arguments& a, const LoadedModel& model, size_t prompt, const Generation& result,
            double cpu_share) {
  const double rate = std::max(0.0, result.tokens.size() - 1.0) /  // after the first
                      std::max(1e-9, result.generation_seconds);
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
  ModelSource source = ModelSource::open(a.model);
  const Tokenizer tokenizer = source.tokenizer();
  const auto [prompt, in_reasoning] =
      a.chat ? chat_prompt(a, source, tokenizer) : plain_prompt(a, tokenizer);
  a.options.sampling = sampling_of(a, source);
  a.options.grammar = make_grammar(a, tokenizer, in_reasoning);
  const int64_t left =
      source.config().max_position_embeddings - static_cast<int64_t>(prompt.size());
  a.options.max_tokens = a.max_tokens.value_or(std::clamp<int64_t>(left, 1, a.options.max_tokens));
  // More drafts could not be taken.
  a.options.draft_tokens = std::min(a.options.draft_tokens, a.options.max_tokens - 1);
  LoadOptions load;
  load.compute = parse_compute(a.compute);
  load.memory_bytes = a.memory_bytes;
  load.max_tokens = static_cast<int64_t>(prompt.size()) + a.options.max_tokens;
  load.batch_logits = 1 + a.options.draft_tokens;
  load.drafts = a.options.draft_tokens > 0;
  LoadedModel model(std::move(source), load);
  const auto show = [&](const std::string& text) {
    if (a.json) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  const double cpu = cpu_seconds(), start = now_seconds();
  const Generation result = generate(model, tokenizer, prompt, a.options, show);
  const double share = (cpu_seconds() - cpu) / (now_seconds() - start) / thread_count();
  show("\n");
  report(a, model, prompt.size(), result, share);
}

void add_sampling_options(CLI::App& command, Arguments& a) {
  command.add_option("--temperature", a.temperature, "0 is greedy")->check(CLI::Range(0.0, 100.0));
  command.add_option("--top-p", a.top_p, "Nucleus sampling")->check(CLI::Range(0.0, 1.0));
  command.add_option("--top-k", a.top_k, "The K most likely tokens only; 0: all")
      ->check(CLI::Range(0, 1 << 30));
  command
      .add_option("--min-p", a.min_p, "Tokens at least this likely, against the most likely one")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--repetition-penalty", a.repetition_penalty,
                  "Makes tokens of prompt and text less likely; 1: does not")
      ->check(CLI::Range(0.01, 100.0));
  command.add_option("--seed", a.seed, "Same seed, same text")->check(CLI::NonNegativeNumber);
  command.add_flag("--greedy", a.greedy, "The most likely token each time");
  command.add_option("--stop", a.options.stop, "Text that ends the text; any number of times");
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("generate", "Continue a text");
  command->add_option("model", a->model, "Hugging Face directory, run's folder or GGUF file")
      ->required();
  auto* prompt = command->add_option("-p,--prompt", a->prompt, "Text to continue");
  command->add_option("--prompt-file", a->prompt_file, "File with the text")->excludes(prompt);
  command
      ->add_option("-n,--max-tokens", a->max_tokens,
                   "Tokens to write at most (default: 128, or what the context leaves)")
      ->check(CLI::Range(1, 1 << 24));
  add_sampling_options(*command, *a);
  auto* schema = command->add_option("--json-schema", a->schema_file,
                                     "File with a JSON schema that the text satisfies");
  command->add_option("--grammar", a->grammar_file, "File with a grammar that the text follows")
      ->excludes(schema);
  auto* chat = command->add_flag("--chat", a->chat,
                                 "The text is a user's turn, by the model's chat template");
  command->add_option("--system", a->system, "System prompt")->needs(chat);
  command->add_option("--thinking", a->thinking, "on or off: whether the model reasons first")
      ->check(CLI::IsMember({"on", "off"}))
      ->needs(chat);
  command
      ->add_option("--draft-tokens", a->options.draft_tokens,
                   "Guesses checked with each token; changes the speed alone")
      ->check(CLI::Range(0, 64));
  add_compute_option(*command, a->compute);
  add_memory_option(*command, a->memory_bytes);
  command->add_flag("--json", a->json, "Print one JSON object");
  command->callback([a] { run(*a); });
}

}  // namespace minke
