#pragma once
// The paths of the interface.

#include "serve/service.h"

namespace minke {

// POST /chat/completions
void handle_chat(Service& service, Exchange& exchange);
// POST /completions
void handle_completion(Service& service, Exchange& exchange);
// POST /messages, Anthropic's
void handle_messages(Service& service, Exchange& exchange);
// POST /messages/count_tokens, Anthropic's
void handle_count_tokens(Service& service, Exchange& exchange);
// POST /responses
void handle_responses(Service& service, Exchange& exchange);
// POST /embeddings
void handle_embeddings(Service& service, Exchange& exchange);
// POST /tokenize, /detokenize
void handle_tokenize(Service& service, Exchange& exchange);
void handle_detokenize(Service& service, Exchange& exchange);

}  // namespace minke
