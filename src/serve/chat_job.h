#pragma once
// A chat request on its way: what its answer needs, shared with the stream that outlives its
// handler.

#include "serve/chat_answer.h"
#include "serve/handlers.h"
#include "serve/job.h"

namespace minke {

struct ChatJob {
  ChatRequestBody body;
  PreparedChat chat;
  std::unique_ptr<Job> job;
  std::shared_ptr<void> hold;  // the client's share of requests at once
  AnswerHead head;
  std::vector<ChatAnswer> answers;

  Usage usage() const;
};

// Takes the model, renders the prompt and joins the queue; what is wrong is an ApiError.
std::shared_ptr<ChatJob> begin_chat(Service& service, Exchange& exchange, ChatRequestBody body,
                                    const std::string& id_prefix);

}  // namespace minke
