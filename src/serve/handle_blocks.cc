// POST /messages and /responses: answers as blocks. POST /messages/count_tokens.
#include "api/blocks.h"
#include "serve/chat_job.h"
#include "serve/engine_request.h"

namespace minke {
namespace {

// Puts pieces of an answer together as blocks and tells what begins, grows and ends.
class BlockBuilder {
 public:
  using Events = std::vector<BlockEvents::Event>;

  // events: null when nobody listens.
  explicit BlockBuilder(BlockEvents* events) : events_(events) {}

  Events take(const ChatAnswer::Piece& piece) {
    const ChatDelta& delta = piece.delta;
    Events events;
    const auto kind = kind_of(delta.kind);
    const bool is_new =
        delta.kind == ChatDelta::Kind::tool_name || blocks_.empty() || blocks_.back().kind != kind;
    if (is_new) {
      close(events);
      const bool is_call = kind == AnswerBlock::Kind::call;
      blocks_.push_back(
          {kind, is_call ? piece.call_id : new_id(prefix_of(kind)), is_call ? delta.text : ""});
      is_open_ = true;
      if (events_) append(events, events_->open(blocks_.size() - 1, blocks_.back()));
    }
    if (delta.kind == ChatDelta::Kind::tool_name || delta.text.empty()) return events;
    blocks_.back().text += delta.text;
    if (events_) append(events, events_->add(blocks_.size() - 1, blocks_.back(), delta.text));
    return events;
  }
  // Nothing more comes; is_cut: because the answer became too long.
  Events end(bool is_cut) {
    Events events;
    if (is_open_) blocks_.back().is_cut = is_cut;
    close(events);
    return events;
  }
  const std::vector<AnswerBlock>& blocks() const { return blocks_; }

 private:
  void close(Events& events) {
    if (is_open_ && events_) append(events, events_->close(blocks_.size() - 1, blocks_.back()));
    is_open_ = false;
  }
  static AnswerBlock::Kind kind_of(ChatDelta::Kind kind) {
    if (kind == ChatDelta::Kind::content) return AnswerBlock::Kind::text;
    return kind == ChatDelta::Kind::reasoning ? AnswerBlock::Kind::reasoning
                                              : AnswerBlock::Kind::call;
  }
  static const char* prefix_of(AnswerBlock::Kind kind) {
    return kind == AnswerBlock::Kind::reasoning ? "rs_" : "msg_";
  }
  static void append(Events& to, Events more) {
    for (auto& event : more) to.push_back(std::move(event));
  }

  BlockEvents* events_;
  std::vector<AnswerBlock> blocks_;
  bool is_open_ = false;
};

AnswerEnd end_of(const ChatJob& chat) {
  const ChatAnswer& answer = chat.answers.front();
  return {answer.finish_reason(), answer.stop_string(), chat.usage()};
}

void write_stream(ChatJob& chat, BlockEvents& format, EventStream& stream, bool pings) {
  const auto send = [&](const BlockBuilder::Events& events) {
    for (const auto& event : events) stream.add(event.data, event.name);
  };
  const auto on_silence = [&] {
    if (pings)
      stream.add("{\"type\":\"ping\"}", "ping");
    else
      stream.add_comment();
    stream.flush();
  };
  BlockBuilder builder(&format);
  send(format.begin(chat.job->prompt_tokens()));
  stream.flush();
  while (const auto event = chat.job->next(on_silence)) {
    for (const auto& piece : chat.answers.front().take(event->event)) send(builder.take(piece));
    if (!chat.answers.front().has_ended()) stream.flush();
  }
  const AnswerEnd end = end_of(chat);
  send(builder.end(end.reason == "length"));
  send(format.end(builder.blocks(), end));
}

std::vector<AnswerBlock> whole_answer(ChatJob& chat) {
  BlockBuilder builder(nullptr);
  while (const auto event = chat.job->next())
    for (const auto& piece : chat.answers.front().take(event->event)) builder.take(piece);
  builder.end(end_of(chat).reason == "length");
  return builder.blocks();
}

// What `act` refuses names the fields that were sent.
template <typename Act>
auto with_errors_as_sent(const ChatTranslation& asked, Act&& act) {
  try {
    return act();
  } catch (const ApiError& error) {
    throw asked.as_sent(error);
  }
}

std::shared_ptr<ChatJob> begin(Service& service, Exchange& exchange, const ChatTranslation& asked,
                               const std::string& id_prefix) {
  return with_errors_as_sent(asked, [&] {
    return begin_chat(service, exchange, parse_chat_request(asked.body()), id_prefix);
  });
}

void reply_in_blocks(Exchange& exchange, const std::shared_ptr<ChatJob>& chat,
                     const std::shared_ptr<BlockEvents>& format, bool pings) {
  reply_with_stream(
      exchange,
      [chat, format, pings](EventStream& stream) { write_stream(*chat, *format, stream, pings); },
      [format](EventStream& stream, const ApiError& error) {
        const auto event = format->fail(error);
        stream.add(event.data, event.name);
      });
}

}  // namespace

void handle_messages(Service& service, Exchange& exchange) {
  const Json body = parse_body(exchange.body);
  const auto chat = begin(service, exchange, chat_of_messages(body), "msg_");
  if (chat->body.stream) return reply_in_blocks(exchange, chat, messages_events(chat->head), true);
  const auto blocks = whole_answer(*chat);
  exchange.reply(to_text(messages_json(chat->head, blocks, end_of(*chat))));
}

void handle_count_tokens(Service& service, Exchange& exchange) {
  Json json = parse_body(exchange.body);
  json["max_tokens"] = 1;  // nothing is written; the body of /messages has it
  const ChatTranslation asked = chat_of_messages(json);
  const size_t tokens = with_errors_as_sent(asked, [&] {
    const ChatRequestBody body = parse_chat_request(asked.body());
    const auto hold = service.limits.hold(exchange.client);
    const ModelPool::Lease lease = acquire_model(service, exchange, body.model);
    return prepare_chat(body, *lease.model, lease.thinking).request.prompt.size();
  });
  exchange.reply(to_text({{"input_tokens", tokens}}));
}

void handle_responses(Service& service, Exchange& exchange) {
  const Json body = parse_body(exchange.body);
  const auto chat = begin(service, exchange, chat_of_responses(body), "resp_");
  if (chat->body.stream)
    return reply_in_blocks(exchange, chat, responses_events(chat->head, body), false);
  const auto blocks = whole_answer(*chat);
  const AnswerEnd end = end_of(*chat);
  exchange.reply(to_text(responses_json(chat->head, body, blocks, &end)));
}

}  // namespace minke
