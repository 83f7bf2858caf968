#include "serve/chat_job.h"

namespace minke {

Usage ChatJob::usage() const {
  Usage usage;
  usage.prompt_tokens = job->prompt_tokens();
  for (const ChatAnswer& answer : answers) {
    usage.completion_tokens += answer.tokens();
    usage.reasoning_tokens += answer.reasoning_tokens();
  }
  usage.cached_tokens = answers.front().cached_tokens();
  return usage;
}

std::shared_ptr<ChatJob> begin_chat(Service& service, Exchange& exchange, ChatRequestBody body,
                                    const std::string& id_prefix) {
  auto chat = std::make_shared<ChatJob>();
  chat->body = std::move(body);
  chat->job = std::make_unique<Job>(service, exchange, chat->body.model);
  chat->head = chat->job->new_head(id_prefix);
  ServedModel& model = chat->job->model();
  chat->chat = prepare_chat(chat->body, model, chat->job->lease().thinking);
  for (int i = 0; i < chat->body.n; ++i) {
    chat->job->add(another_answer(chat->chat, chat->body, model, i), i == 0);
    chat->answers.emplace_back(chat->chat, model.tokenizer());
  }
  chat->job->enter(chat->body.stream);
  return chat;
}

}  // namespace minke
