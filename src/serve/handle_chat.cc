// POST /chat/completions
#include "serve/chat_job.h"

namespace minke {
namespace {

void write_stream(ChatJob& chat, EventStream& stream) {
  const ChatChunks chunks(chat.head, chat.body.include_usage);
  const bool wants_scores = chat.body.top_logprobs >= 0;
  const auto on_silence = [&] {
    stream.add_comment();
    stream.flush();
  };
  std::vector<bool> has_begun(chat.answers.size());
  while (const auto event = chat.job->next(on_silence)) {
    const int i = event->index;
    ChatAnswer& answer = chat.answers[i];
    if (!has_begun[i]) stream.add(chunks.role(i));
    has_begun[i] = true;
    const auto pieces = answer.take(event->event);
    // Log-probabilities go with the first piece of what their tokens gave.
    std::optional<Json> scores;
    const auto take_scores = [&]() -> const Json* {
      scores.reset();
      if (const auto tokens = answer.take_scores(); !tokens.empty())
        scores = chat_logprobs_json(tokens);
      return scores ? &*scores : nullptr;
    };
    for (const ChatAnswer::Piece& piece : pieces)
      stream.add(
          chunks.delta(i, piece.delta, piece.call_id, wants_scores ? take_scores() : nullptr));
    if (answer.has_ended())
      stream.add(chunks.finish(i, answer.finish_reason(), wants_scores ? take_scores() : nullptr));
    else
      stream.flush();
  }
  if (chat.body.include_usage) stream.add(chunks.usage(chat.usage()));
  stream.add("[DONE]");
}

std::string whole_answer(ChatJob& chat) {
  while (const auto event = chat.job->next()) chat.answers[event->index].take(event->event);
  ChatCompletion completion;
  completion.head = chat.head;
  completion.usage = chat.usage();
  for (size_t i = 0; i < chat.answers.size(); ++i) {
    ChatAnswer& answer = chat.answers[i];
    ChatChoice choice;
    choice.index = static_cast<int>(i);
    choice.message = answer.message();
    choice.finish_reason = answer.finish_reason();
    if (chat.body.top_logprobs >= 0) choice.logprobs = answer.take_scores();
    completion.choices.push_back(std::move(choice));
  }
  return to_text(to_json(completion));
}

}  // namespace

void handle_chat(Service& service, Exchange& exchange) {
  const auto chat =
      begin_chat(service, exchange, parse_chat_request(parse_body(exchange.body)), "chatcmpl-");
  if (!chat->body.stream) return exchange.reply(whole_answer(*chat));
  reply_with_stream(
      exchange, [chat](EventStream& stream) { write_stream(*chat, stream); },
      [](EventStream& stream, const ApiError& error) { stream.add(error_json(error)); });
}

}  // namespace minke
