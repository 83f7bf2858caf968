// minke data prepare | inspect | tasks

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/commands.h"
#include "config/task_config.h"
#include "data/prepare.h"
#include "data/token_dataset.h"
#include "post/task_text.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace minke {
namespace {

struct PrepareArguments {
  std::vector<std::string> inputs;
  std::string tokenizer, output, near_duplicates = "0.8";
  PrepareOptions options;
  bool json = false;
};

struct InspectArguments {
  std::string folder, split = "train";
  int64_t batch = 0, count = 2;
  WindowOptions window{.sequence_length = 256};
  bool json = false;
};

void prepare(PrepareArguments arguments) {
  PrepareOptions& options = arguments.options;
  options.inputs.assign(arguments.inputs.begin(), arguments.inputs.end());
  options.tokenizer = arguments.tokenizer;
  options.output = arguments.output;
  const bool off = arguments.near_duplicates == "off";
  if (!off && !CLI::detail::lexical_cast(arguments.near_duplicates, options.near_duplicates))
    fail_usage("--near-duplicates is a number or \"off\", not \"{}\"", arguments.near_duplicates);
  if (off) options.near_duplicates = 0;
  const DatasetIndex index = prepare_data(options);
  if (arguments.json) fmt::print("{}\n", index_summary(index));
}

// The sequence with a bar between tokens; line ends stay, behind a sign.
std::string with_boundaries(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::string text;
  for (const int32_t id : ids) {
    for (const char byte : tokenizer.token_bytes(id)) {
      if (byte == '\n') text += "⏎";
      text += byte;
    }
    text += "│";
  }
  return repair_utf8(text);
}

void inspect(const InspectArguments& arguments) {
  const Split split = arguments.split == "train" ? Split::train : Split::validation;
  const TokenDataset dataset(arguments.folder, split, arguments.window);
  const Tokenizer tokenizer = Tokenizer::load(arguments.folder);
  std::vector<int32_t> ids(arguments.count * dataset.window());
  const int64_t first = arguments.batch * arguments.count;
  dataset.read_sequences(first, arguments.count, ids.data());

  nlohmann::ordered_json output = nlohmann::ordered_json::parse(index_summary(dataset.index()));
  if (!arguments.json) fmt::print("{}\n", output.dump(2));
  for (int64_t i = 0; i < arguments.count; ++i) {
    const auto sequence =
        std::span<const int32_t>(ids).subspan(i * dataset.window(), dataset.window());
    output["sequences"].push_back({{"sequence", first + i},
                                   {"ids", sequence},
                                   {"text", repair_utf8(tokenizer.decode(sequence))},
                                   {"target_bytes", dataset.target_bytes(sequence)}});
    if (!arguments.json)
      fmt::print("\n--- {} sequence {}: {} tokens, {} bytes of text to predict\n{}\n",
                 arguments.split, first + i, dataset.window(), dataset.target_bytes(sequence),
                 with_boundaries(tokenizer, sequence));
  }
  if (arguments.json) fmt::print("{}\n", output.dump());
}

struct TasksArguments {
  std::string recipe, out;
  std::vector<std::string> overrides;
  bool json = false;
};

nlohmann::ordered_json task_text_json(const TaskSettings& settings,
                                      const TaskTextSummary& summary) {
  nlohmann::ordered_json authors;
  for (size_t i = 0; i < author_names.size(); ++i)
    authors[std::string(author_names[i])] = summary.samples[i];
  return {{"families", settings.task.families},
          {"samples", settings.text.samples},
          {"authors", authors},
          {"documents", summary.documents},
          {"bytes", summary.bytes},
          {"distinct_problems", summary.distinct_problems},
          {"held_out_share", settings.task.held_out},
          {"held_out_problems_in_text", summary.held_out_problems}};
}

void write_tasks(const TasksArguments& arguments) {
  const std::string toml = arguments.recipe.empty() ? "" : read_file(arguments.recipe);
  const TaskSettings settings = parse_task_settings(toml, arguments.recipe, arguments.overrides);
  const bool wrapped = arguments.out.ends_with(".jsonl") && !settings.text.completions;
  AtomicFile file(arguments.out);
  const TaskTextSummary summary =
      write_task_text(settings.task, settings.text, [&](const std::string& document) {
        file.write(wrapped ? nlohmann::json{{"text", document}}.dump() : document);
        file.write("\n");
      });
  file.commit();
  const nlohmann::ordered_json result = task_text_json(settings, summary);
  if (arguments.json) return fmt::print("{}\n", result.dump());
  for (const auto& [key, value] : result.items())
    fmt::print("{:<26}{}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
}

void add_prepare(CLI::App& data) {
  auto arguments = std::make_shared<PrepareArguments>();
  PrepareOptions& options = arguments->options;
  CLI::App* command = data.add_subcommand("prepare", "Turn text into token shards");
  command->add_option("--input", arguments->inputs, "Files and folders of text")->required();
  command->add_option("--tokenizer", arguments->tokenizer, "Folder of a tokenizer")->required();
  command->add_option("--output", arguments->output, "Folder for the shards")->required();
  command->add_option("--validation-fraction", options.validation_fraction, "Share held out")
      ->capture_default_str();
  command->add_option("--fim-rate", options.fim_rate, "Share of documents for fill-in-the-middle")
      ->capture_default_str();
  command
      ->add_option("--near-duplicates", arguments->near_duplicates,
                   "Similarity from which a document is left out, or off")
      ->capture_default_str();
  command->add_option("--shard-tokens", options.shard_tokens, "Tokens in a shard")
      ->capture_default_str();
  command->add_option("--text-field", options.corpus.text_field, "JSONL's field with the text")
      ->capture_default_str();
  command->add_option("--max-bytes", options.corpus.max_bytes,
                      "Use a sample of about this many bytes");
  command->add_option("--seed", options.seed, "Of fill-in-the-middle")->capture_default_str();
  command->add_flag("--parse-special", options.parse_special,
                    "<think> and other added tokens in the text are tokens, not characters");
  command->add_flag("--json", arguments->json, "Print the index");
  command->callback([arguments] { prepare(*arguments); });
}

void add_inspect(CLI::App& data) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command = data.add_subcommand("inspect", "Show prepared data as text");
  command->add_option("folder", arguments->folder, "Folder with index.json")->required();
  command->add_option("--split", arguments->split, "train or validation")
      ->check(CLI::IsMember({"train", "validation"}))
      ->capture_default_str();
  command->add_option("--batch", arguments->batch, "Which batch of --count sequences")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  command->add_option("--count", arguments->count, "Sequences to show")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  command->add_option("--sequence-length", arguments->window.sequence_length, "Tokens")
      ->capture_default_str();
  command->add_option("--seed", arguments->window.seed, "Of the shuffle")->capture_default_str();
  command->add_flag("--json", arguments->json, "Print one JSON object");
  command->callback([arguments] { inspect(*arguments); });
}

void add_tasks(CLI::App& data) {
  auto arguments = std::make_shared<TasksArguments>();
  CLI::App* command = data.add_subcommand("tasks", "Write text of tasks for pre-training");
  command->add_option("recipe", arguments->recipe, "TOML with [task] and [text]");
  command->add_option("--set", arguments->overrides, "text.samples=1000: overrides the recipe");
  command->add_option("--out", arguments->out, "The file: .jsonl, otherwise plain text")
      ->required();
  command->add_flag("--json", arguments->json, "Print one JSON object");
  command->callback([arguments] { write_tasks(*arguments); });
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "Prepare and inspect training data");
  data->require_subcommand(1);
  add_prepare(*data);
  add_inspect(*data);
  add_tasks(*data);
}

}  // namespace minke
