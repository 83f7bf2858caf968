// minke tokenizer train | encode | decode

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "cli/commands.h"
#include "data/corpus.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer.h"

namespace minke {
namespace {

struct TrainArguments {
  std::vector<std::string> inputs;
  std::string output;
  BpeTrainerOptions trainer;
  CorpusOptions corpus;
};

struct CodeArguments {
  std::string tokenizer, file, text, ids;
  bool bos = false, no_bos = false, plain_text = false, skip_special = false, json = false,
       json_lines = false;
};

void train(const TrainArguments& arguments) {
  BpeTrainer trainer(arguments.trainer);
  const double start = now_seconds();
  const CorpusSummary summary = read_corpus({arguments.inputs.begin(), arguments.inputs.end()},
                                            arguments.corpus, [&](std::vector<Document>& batch) {
                                              for (const Document& document : batch)
                                                trainer.add(document.text);
                                            });
  info("read {} documents, {:.1f} MB of text, in {:.1f} s", summary.documents, summary.bytes / 1e6,
       now_seconds() - start);
  const double merging = now_seconds();
  const TokenizerDefinition definition = trainer.train();
  write_tokenizer(definition, arguments.output);
  info("made {} merges in {:.1f} s; wrote a vocabulary of {} to {}", definition.merges.size(),
       now_seconds() - merging, definition.tokens.size(), arguments.output);
}

std::string input_text(const CodeArguments& arguments) {
  return arguments.file.empty() ? arguments.text : read_file(arguments.file);
}

void print(const std::string& bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
    fail("cannot write to standard output");
}

std::string list_of(const std::vector<int32_t>& ids, bool json) {
  std::string list = json ? "[" : "";
  for (const int32_t id : ids) fmt::format_to(std::back_inserter(list), "{},", id);
  if (!ids.empty()) list.pop_back();
  return list + (json ? "]\n" : "\n");
}

// One JSON string on each line in, one list of ids on each line out.
template <typename Encode>
void encode_json_lines(const std::string& text, const Encode& encode_one) {
  std::istringstream lines(text);
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const auto value = nlohmann::json::parse(line, nullptr, false);
    if (!value.is_string()) fail("line {} is not a JSON string", number);
    print(list_of(encode_one(value.get<std::string>()), true));
  }
}

void encode(const CodeArguments& arguments) {
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  const bool add_bos = (tokenizer.adds_bos() || arguments.bos) && !arguments.no_bos;
  const auto encode_one = [&](const std::string& text) {
    return tokenizer.encode(text, {add_bos, !arguments.plain_text});
  };
  const std::string text = input_text(arguments);
  if (arguments.json_lines) return encode_json_lines(text, encode_one);
  print(list_of(encode_one(text), arguments.json));
}

// Ids as a JSON list or as numbers with commas or white space between them.
std::vector<int32_t> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  const char* separators = " ,[]\t\r\n";
  for (size_t at = text.find_first_not_of(separators); at != std::string::npos;
       at = text.find_first_not_of(separators, at)) {
    const size_t end = std::min(text.find_first_of(separators, at), text.size());
    const auto result = std::from_chars(text.data() + at, text.data() + end, ids.emplace_back());
    if (result.ec != std::errc() || result.ptr != text.data() + end)
      fail_usage("\"{}\" is not a token id", text.substr(at, std::min<size_t>(end - at, 40)));
    at = end;
  }
  return ids;
}

void decode(const CodeArguments& arguments) {
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  const auto ids = parse_ids(arguments.file.empty() ? arguments.ids : read_file(arguments.file));
  print(tokenizer.decode(ids, arguments.skip_special));
}

void add_train(CLI::App& tokenizer) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = tokenizer.add_subcommand("train", "Train a byte-level BPE tokenizer on text");
  command->add_option("--input", arguments->inputs, "Files and folders of text")->required();
  command->add_option("--vocab-size", arguments->trainer.vocab_size, "Ids, special tokens included")
      ->required();
  command->add_option("--output", arguments->output, "Folder for tokenizer.json")->required();
  command->add_flag("--individual-digits", arguments->trainer.individual_digits,
                    "Each digit is a token (default: up to three)");
  command->add_option("--max-bytes", arguments->corpus.max_bytes,
                      "Train on a sample of about this many bytes");
  command->add_option("--text-field", arguments->corpus.text_field, "JSONL's field with the text")
      ->capture_default_str();
  command->callback([arguments] { train(*arguments); });
}

void add_encode(CLI::App& tokenizer) {
  auto arguments = std::make_shared<CodeArguments>();
  CLI::App* command = tokenizer.add_subcommand("encode", "Print the token ids of a text");
  command->add_option("tokenizer", arguments->tokenizer, "Folder of a tokenizer")->required();
  CLI::Option_group* input = command->add_option_group("input");
  input->add_option("--file", arguments->file, "Read the text from this file");
  input->add_option("--text", arguments->text, "The text");
  input->require_option(1);
  command->add_flag("--bos", arguments->bos,
                    "BOS in front even if the tokenizer does not ask for it");
  command->add_flag("--no-bos", arguments->no_bos, "No BOS even if the tokenizer asks for it");
  command->add_flag("--plain-text", arguments->plain_text, "Special tokens' names are plain text");
  command->add_flag("--json", arguments->json, "Print a JSON list");
  command->add_flag("--json-lines", arguments->json_lines,
                    "Each line is a JSON string: print a JSON list for each");
  command->callback([arguments] { encode(*arguments); });
}

void add_decode(CLI::App& tokenizer) {
  auto arguments = std::make_shared<CodeArguments>();
  CLI::App* command = tokenizer.add_subcommand("decode", "Print the text of token ids");
  command->add_option("tokenizer", arguments->tokenizer, "Folder of a tokenizer")->required();
  CLI::Option_group* input = command->add_option_group("input");
  input->add_option("--ids", arguments->ids, "Ids with commas between them");
  input->add_option("--file", arguments->file, "Read the ids (also a JSON list) from this file");
  input->require_option(1);
  command->add_flag("--skip-special", arguments->skip_special, "Leave special tokens out");
  command->callback([arguments] { decode(*arguments); });
}

}  // namespace

void add_tokenizer_command(CLI::App& app) {
  CLI::App* tokenizer = app.add_subcommand("tokenizer", "Train and use tokenizers");
  tokenizer->require_subcommand(1);
  add_train(*tokenizer);
  add_encode(*tokenizer);
  add_decode(*tokenizer);
}

}  // namespace minke
