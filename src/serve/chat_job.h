#pragma once
// A chat request on its way: what its answer needs, shared with the stream that outlives its
// handler.

#include "serve/chat_answer.h"
#include "serve/event_stream.h"
#include "serve/handlers.h"
#include "serve/job.h"

namespace minke {

struct ChatJob {
  ChatRequestBody body;
  PreparedChat chat;
  std::unique_ptr<Job> job;
  AnswerHead head;
  std::vector<ChatAnswer> answers;

  Usage usage() const;
};

// Takes the model, renders the prompt and joins the queue; what is wrong is an ApiError.
std::shared_ptr<ChatJob> begin_chat(Service& service, Exchange& exchange, ChatRequestBody body,
                                    const std::string& id_prefix);

}  // namespace minke
