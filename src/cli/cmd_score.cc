// minke score MODEL: log-probabilities of given tokens, and the logits themselves.

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/load_options.h"
#include "io/safetensors.h"
#include "model/score.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model, text, file, logits, compute;
  std::vector<int32_t> ids;
  int64_t context = 0;
};

std::string one_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void print_tokens(std::span<const int32_t> tokens, const Scores& scores,
                  const Tokenizer* tokenizer) {
  double bytes = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    Json line = {{"token", tokens[i]}};
    if (tokenizer) {
      line["text"] = std::string(tokenizer->token_bytes(tokens[i]));
      if (i > 0 && !tokenizer->is_special(tokens[i]))
        bytes += static_cast<double>(tokenizer->token_bytes(tokens[i]).size());
    }
    const auto& value = scores.log_probabilities[i];
    line["logprob"] = value ? Json(*value) : Json(nullptr);
    fmt::print("{}\n", one_line(line));
  }
  Json summary = {{"tokens", tokens.size()}, {"nats", scores.nats}};
  if (bytes > 0) summary["bits_per_byte"] = scores.nats / std::numbers::ln2 / bytes;
  fmt::print("{}\n", one_line(summary));
}

void run(const Arguments& a) {
  ModelSource source = ModelSource::open(a.model);
  std::vector<int32_t> tokens = a.ids;
  std::optional<Tokenizer> tokenizer;
  if (tokens.empty()) {
    tokenizer.emplace(source.tokenizer());
    tokens =
        tokenizer->encode(a.file.empty() ? a.text : read_file(a.file), {tokenizer->adds_bos()});
  }
  if (tokens.empty()) fail_usage("there is nothing to score: the text is empty");
  LoadOptions options;
  options.compute = parse_compute(a.compute);
  const int64_t limit = a.context ? a.context : source.config().max_position_embeddings;
  options.max_tokens = std::min<int64_t>(limit, static_cast<int64_t>(tokens.size()));
  LoadedModel model(std::move(source), options);

  std::optional<SafetensorsWriter> writer;
  if (!a.logits.empty())
    writer.emplace(SafetensorsWriter::file(
        a.logits, {{"logits",
                    FileDType::f32,
                    {static_cast<int64_t>(tokens.size()), model.config().vocab_size}}}));
  std::function<void(const Tensor&)> on_logits;
  if (writer)
    on_logits = [&](const Tensor& rows) { writer->write("logits", rows.data, rows.bytes()); };
  const Scores scores = score_tokens(model, tokens, on_logits);
  if (writer) writer->commit();
  print_tokens(tokens, scores, tokenizer ? &*tokenizer : nullptr);
}

}  // namespace

void add_score_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("score", "Log-probabilities of each token, as JSON lines");
  command->add_option("model", a->model, "Hugging Face directory, run's folder or GGUF file")
      ->required();
  auto* input = command->add_option_group("input", "What to score");
  input->add_option("--text", a->text, "Text");
  input->add_option("--file", a->file, "File with the text");
  input->add_option("--ids", a->ids, "Token ids: 1,2,3")->delimiter(',');
  input->require_option(1);
  command->add_option("--context", a->context, "Tokens of one window (default: the model's limit)")
      ->check(CLI::Range(2, 1 << 24));
  command->add_option("--logits", a->logits, "Write f32 logits [tokens, vocab_size] to this file");
  add_compute_option(*command, a->compute);
  command->callback([a] { run(*a); });
}

}  // namespace minke
