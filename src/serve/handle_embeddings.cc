// POST /embeddings: the mean of the last hidden states, of length 1.
#include <cmath>

#include "api/request.h"
#include "api/response.h"
#include "serve/handlers.h"
#include "serve/job.h"

namespace minke {
namespace {

constexpr int64_t most_tokens = 300'000;  // of one request, OpenAI's

std::vector<int32_t> input_tokens(const TextOrTokens& input, const ServedModel& model) {
  if (const auto* tokens = std::get_if<std::vector<int32_t>>(&input)) return *tokens;
  const std::string& text = std::get<std::string>(input);
  if (text.empty()) refuse_form("input", "input holds an empty text");
  model.check_text_size("input", static_cast<int64_t>(text.size()));
  return model.tokenizer().encode(text, {model.tokenizer().adds_bos()});
}

void normalize(std::vector<float>& embedding) {
  double squares = 0;
  for (const float x : embedding) squares += double{x} * x;
  if (!std::isfinite(squares) || squares == 0)
    throw ApiError(500, "the model's hidden states are no usable numbers");
  for (float& x : embedding) x = static_cast<float>(x / std::sqrt(squares));
}

}  // namespace

void handle_embeddings(Service& service, Exchange& exchange) {
  const EmbeddingRequestBody body = parse_embedding_request(parse_body(exchange.body));
  Job job(service, exchange, body.model);
  const int64_t size = job.model().hidden_size();
  if (body.dimensions.value_or(size) != size)
    refuse_value("dimensions",
                 "dimensions is {}; this model's embeddings have {} and are not made "
                 "to be cut",
                 *body.dimensions, size);
  for (const TextOrTokens& input : body.inputs) {
    Request request;
    request.prompt = input_tokens(input, job.model());
    request.embedding = true;
    job.add(std::move(request));
    if (job.prompt_tokens() > most_tokens)
      refuse_value("input", "input has more than {} tokens in all", most_tokens);
  }
  job.enter(false);
  std::vector<std::vector<float>> embeddings(body.inputs.size());
  while (auto event = job.next()) {
    std::vector<float>& embedding = embeddings[event->index];
    embedding = std::move(event->event.embedding);
    normalize(embedding);
  }
  exchange.reply(
      embeddings_text(job.lease().name, embeddings, body.as_base64, job.prompt_tokens()));
}

}  // namespace minke
