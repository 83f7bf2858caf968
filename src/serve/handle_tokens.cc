// POST /tokenize and /detokenize, as llama.cpp and vLLM name their fields.
#include "api/request.h"
#include "serve/handlers.h"
#include "text/utf8.h"

namespace minke {

void handle_tokenize(Service& service, Exchange& exchange) {
  const Json json = parse_body(exchange.body);
  const Fields body(json, "");
  std::optional<std::string> text;
  for (const char* name : {"content", "prompt", "text"})
    if (!text) text = body.string(name);
  if (!text) refuse_form("content", "content is missing");
  const auto hold = service.limits.hold(exchange.client);
  const auto lease = acquire_model(service, exchange, body.string("model").value_or(""));
  lease.model->check_text_size("content", static_cast<int64_t>(text->size()));
  const Tokenizer& tokenizer = lease.model->tokenizer();
  EncodeOptions options;
  options.add_bos = body.boolean("add_special").value_or(false) && tokenizer.adds_bos();
  options.parse_special = body.boolean("parse_special").value_or(true);
  const std::vector<int32_t> tokens = tokenizer.encode(*text, options);
  exchange.reply(to_text(
      {{"tokens", tokens}, {"count", tokens.size()}, {"max_model_len", lease.model->context()}}));
}

void handle_detokenize(Service& service, Exchange& exchange) {
  const Json json = parse_body(exchange.body);
  const Fields body(json, "");
  body.require("tokens");
  const auto hold = service.limits.hold(exchange.client);
  const auto lease = acquire_model(service, exchange, body.string("model").value_or(""));
  const Tokenizer& tokenizer = lease.model->tokenizer();
  std::vector<int32_t> tokens;
  for (const Json& token : *body.list("tokens")) {
    const bool is_known = token.is_number_integer() && token >= 0 && token < tokenizer.vocab_size();
    if (!is_known) refuse_value("tokens", "tokens holds something that is no token's id");
    tokens.push_back(token.get<int32_t>());
  }
  const std::string text = repair_utf8(tokenizer.decode(tokens));
  exchange.reply(to_text({{"content", text}, {"prompt", text}}));
}

}  // namespace minke
