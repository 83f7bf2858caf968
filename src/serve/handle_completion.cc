// POST /completions: text that goes on, or is filled in.
#include "serve/engine_request.h"
#include "serve/event_stream.h"
#include "serve/handlers.h"
#include "serve/job.h"
#include "text/special_tokens.h"
#include "text/utf8.h"

namespace minke {
namespace {

// One answer as it grows.
struct TextAnswer {
  std::vector<int32_t> prompt;
  std::string echo;  // the prompt's text, where it is asked for
  std::string text;
  std::vector<ScoredToken> scores;
  TextOffset offset;  // of the scores' tokens
  int64_t tokens = 0, cached = 0;
  std::string finish_reason;
};

struct CompletionJob {
  CompletionRequestBody body;
  std::unique_ptr<Job> job;
  AnswerHead head;
  std::vector<TextAnswer> answers;

  bool wants_scores() const { return body.top_logprobs >= 0; }
  bool writes() const { return body.max_tokens != 0; }
  Usage usage() const {
    Usage usage;
    usage.prompt_tokens = job->prompt_tokens();
    for (size_t i = 0; i < answers.size(); ++i) {
      usage.completion_tokens += answers[i].tokens;
      if (i % static_cast<size_t>(body.n) == 0) usage.cached_tokens += answers[i].cached;
    }
    return usage;
  }
};

std::vector<int32_t> fill_in_prompt(const Tokenizer& tokenizer, const std::string& prefix,
                                    const std::string& suffix) {
  for (const std::string_view token : {special::fim_begin, special::fim_hole, special::fim_end})
    if (!tokenizer.find_special(token))
      refuse_value("suffix", "this model does not fill in: it has no token {}", token);
  std::vector<TextPart> parts;
  if (tokenizer.adds_bos() && tokenizer.bos_id())
    parts.push_back({std::string(tokenizer.token_bytes(*tokenizer.bos_id())), true});
  parts.push_back({std::string(special::fim_begin), true});
  parts.push_back({prefix, false});
  parts.push_back({std::string(special::fim_hole), true});
  parts.push_back({suffix, false});
  parts.push_back({std::string(special::fim_end), true});
  return tokenizer.encode(parts);
}

std::vector<int32_t> prompt_tokens(const CompletionRequestBody& body, size_t index,
                                   const ServedModel& model) {
  const Tokenizer& tokenizer = model.tokenizer();
  if (const auto* tokens = std::get_if<std::vector<int32_t>>(&body.prompts[index])) {
    if (body.suffix) refuse_value("suffix", "suffix goes with a prompt of text");
    return *tokens;
  }
  const std::string& text = std::get<std::string>(body.prompts[index]);
  const size_t bytes = text.size() + body.suffix.value_or("").size();
  model.check_text_size("prompt", static_cast<int64_t>(bytes));
  if (body.suffix) return fill_in_prompt(tokenizer, text, *body.suffix);
  std::vector<int32_t> tokens = tokenizer.encode(text, {tokenizer.adds_bos()});
  if (tokens.empty() && tokenizer.eos_id()) tokens.push_back(*tokenizer.eos_id());
  return tokens;
}

std::shared_ptr<CompletionJob> begin(Service& service, Exchange& exchange) {
  auto completion = std::make_shared<CompletionJob>();
  completion->body = parse_completion_request(parse_body(exchange.body));
  const CompletionRequestBody& body = completion->body;
  completion->job = std::make_unique<Job>(service, exchange, body.model);
  completion->head = completion->job->new_head("cmpl-");
  ServedModel& model = completion->job->model();
  constexpr int64_t default_tokens = 16;    // OpenAI's
  constexpr int64_t most_tokens = 300'000;  // of all answers' prompts; one may fill the context
  const int64_t limit = std::max(most_tokens, model.context());
  int64_t tokens = 0;
  for (size_t p = 0; p < body.prompts.size(); ++p) {
    Request request = base_request(body, model);
    request.max_tokens = std::max<int64_t>(1, body.max_tokens.value_or(default_tokens));
    request.prompt = prompt_tokens(body, p, model);
    tokens += static_cast<int64_t>(request.prompt.size()) * body.n;
    if (tokens > limit)
      refuse_value("prompt", "the answers' prompts have more than {} tokens in all", limit);
    request.prompt_log_probabilities =
        body.echo && completion->wants_scores() && request.prompt.size() > 1;
    for (int i = 0; i < body.n; ++i) {
      TextAnswer& answer = completion->answers.emplace_back();
      answer.prompt = request.prompt;
      completion->job->add(request, i == 0);
      if (body.echo) answer.echo = repair_utf8(model.tokenizer().decode(request.prompt, true));
      ++request.sampling.seed;
    }
  }
  completion->job->enter(body.stream);
  return completion;
}

// What an event adds to the text; the scores of the prompt come before any text.
std::string take(CompletionJob& completion, const AnswerEvent& event) {
  TextAnswer& answer = completion.answers[event.index];
  const Tokenizer& tokenizer = completion.job->model().tokenizer();
  const TokenEvent& tokens = event.event;
  std::string text = std::exchange(answer.echo, "");
  answer.cached = std::max(answer.cached, tokens.cached_tokens);
  if (completion.body.echo && completion.wants_scores()) {
    if (answer.scores.empty() && !answer.prompt.empty()) {
      const int32_t first = answer.prompt[0];
      answer.scores.push_back({std::string(tokenizer.token_bytes(first)),
                               std::nullopt,
                               {},
                               !tokenizer.is_special(first)});
    }
    const size_t at = answer.scores.size();
    if (!tokens.prompt_log_probabilities.empty())
      for (ScoredToken& token : scored_tokens(tokenizer, std::span(answer.prompt).subspan(at),
                                              tokens.prompt_log_probabilities))
        answer.scores.push_back(std::move(token));
  }
  if (tokens.finish != FinishReason::none)
    answer.finish_reason = tokens.finish == FinishReason::length ? "length" : "stop";
  if (completion.writes()) {
    answer.tokens += static_cast<int64_t>(tokens.tokens.size());
    for (ScoredToken& token : scored_tokens(tokenizer, tokens.tokens, tokens.log_probabilities))
      answer.scores.push_back(std::move(token));
    text += tokens.text;
  }
  answer.text += text;
  return text;
}

void write_stream(CompletionJob& completion, EventStream& stream) {
  const CompletionChunks chunks(completion.head, completion.body.include_usage);
  const auto on_silence = [&] {
    stream.add_comment();
    stream.flush();
  };
  std::vector<size_t> sent(completion.answers.size());  // scores of each answer
  while (const auto event = completion.job->next(on_silence)) {
    TextAnswer& answer = completion.answers[event->index];
    const std::string text = take(completion, *event);
    std::optional<Json> scores;
    if (completion.wants_scores()) {
      size_t& from = sent[event->index];
      scores = completion_logprobs_json(
          {answer.scores.begin() + static_cast<int64_t>(from), answer.scores.end()}, answer.offset);
      from = answer.scores.size();
    }
    if (!text.empty() || !answer.finish_reason.empty())
      stream.add(
          chunks.text(event->index, text, scores ? &*scores : nullptr, answer.finish_reason));
    if (answer.finish_reason.empty()) stream.flush();
  }
  if (completion.body.include_usage) stream.add(chunks.usage(completion.usage()));
  stream.add("[DONE]");
}

std::string whole_answer(CompletionJob& completion) {
  while (const auto event = completion.job->next()) take(completion, *event);
  std::vector<CompletionChoice> choices;
  for (TextAnswer& answer : completion.answers) {
    CompletionChoice choice;
    choice.index = static_cast<int>(choices.size());
    choice.text = std::move(answer.text);
    choice.finish_reason = answer.finish_reason;
    if (completion.wants_scores())
      choice.logprobs = completion_logprobs_json(answer.scores, answer.offset);
    choices.push_back(std::move(choice));
  }
  return to_text(completion_json(completion.head, choices, completion.usage()));
}

}  // namespace

void handle_completion(Service& service, Exchange& exchange) {
  const auto completion = begin(service, exchange);
  if (!completion->body.stream) return exchange.reply(whole_answer(*completion));
  reply_with_stream(
      exchange, [completion](EventStream& stream) { write_stream(*completion, stream); },
      [](EventStream& stream, const ApiError& error) { stream.add(error_json(error)); });
}

}  // namespace minke
