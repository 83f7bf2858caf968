#include "chat/chat.h"

#include <unistd.h>

#include <cstdio>

#include "base/log.h"
#include "base/machine.h"
#include "chat/line_reader.h"
#include "chat/session.h"
#include "infer/generation_config.h"
#include "model/loaded_model.h"

namespace minke {
namespace {

constexpr int64_t default_context = 8192;
constexpr int64_t most_continuation = 256;  // tokens; a model that knows no turns ends none

// The model's own template, or ChatML where its tokens are; nothing for other base models.
std::optional<ChatTemplate> find_template(const ModelSource& source, const Tokenizer& tokenizer) {
  const std::string text = source.chat_template_text();
  try {
    const ChatTemplate found = ChatTemplate::detect(text, tokenizer);
    if (text.empty())
      warn("the model has no chat template; its tokens are those of {}", found.name());
    return found;
  } catch (const Error& error) {
    warn("{}. It continues what you write as plain text", error.what());
    return std::nullopt;
  }
}

void write_answer(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void write_notice(std::string_view line) { fmt::print(stderr, "{}\n", line); }

ConversationSettings settings_of(const ChatProgramOptions& options, const ModelSource& source,
                                 bool has_template) {
  ConversationSettings settings;
  settings.sampling = recommended_sampling(source);
  if (options.temperature) settings.sampling.temperature = *options.temperature;
  if (options.top_p) settings.sampling.top_p = *options.top_p;
  settings.sampling.seed = options.seed;
  settings.max_tokens = options.max_tokens;
  if (!has_template && options.max_tokens == 0) settings.max_tokens = most_continuation;
  if (options.no_think) settings.thinking = false;
  return settings;
}

}  // namespace

bool run_chat(const fs::path& path, const ChatProgramOptions& options) {
  ModelSource source = ModelSource::open(path);
  const Tokenizer tokenizer = source.tokenizer();
  const std::optional<ChatTemplate> chat_template = find_template(source, tokenizer);
  const ConversationSettings settings = settings_of(options, source, chat_template.has_value());
  LoadOptions load;
  load.compute = options.compute;
  load.memory_bytes = options.memory_bytes;
  load.max_tokens =
      options.context ? options.context
                      : std::min<int64_t>(default_context, source.config().max_position_embeddings);
  load.batch_logits = 1;
  LoadedModel model(std::move(source), load);
  EngineOptions engine_options;
  engine_options.max_sequences = 1;
  Engine engine(model, tokenizer, engine_options);
  Conversation conversation(engine, tokenizer, chat_template);
  conversation.settings() = settings;
  conversation.set_system(options.system);

  const bool is_terminal = ::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO);
  ChatSession session(conversation, {write_answer, write_notice, is_terminal}, is_terminal,
                      InterruptWatch::is_interrupted);
  const auto lines = make_line_reader(cache_folder() + "/chat_history");
  if (is_terminal) write_notice("/help lists the commands; Ctrl-D leaves");
  while (const auto line = lines->read()) {
    const InterruptWatch watch;  // while it answers; at other times Ctrl-C is a key, or ends a pipe
    if (!session.handle(*line)) break;
    if (!is_terminal && InterruptWatch::is_interrupted()) break;
  }
  info("{}", session.stats());
  return is_terminal || !session.failed();
}

}  // namespace minke
