#include "api/request.h"

#include <charconv>

#include "api/error.h"
#include "config/json.h"

namespace minke {
namespace {

constexpr int64_t most_tokens = int64_t{1} << 32;
constexpr int64_t most_prompts = 256;  // of one request, and answers to all of them
constexpr int64_t most_inputs = 2048;  // to embed, OpenAI's
constexpr int64_t most_stops = 16;
constexpr int64_t most_bias = 1024;
constexpr int most_answers = 16;

void parse_stop(const Fields& body, std::vector<std::string>& stop) {
  const Json* value = body.find("stop");
  if (!value) return;
  if (value->is_string()) {
    stop.push_back(value->get<std::string>());
    return;
  }
  const Json& list = *body.list("stop");
  if (list.size() > most_stops)
    refuse_value("stop", "stop has {} strings; at most {}", list.size(), most_stops);
  for (const Json& text : list) {
    if (!text.is_string()) refuse_form("stop", "stop holds {}, no string", shown(text));
    stop.push_back(text.get<std::string>());
  }
}

void parse_logit_bias(const Fields& body, std::map<int32_t, double>& bias) {
  const Json* object = body.object("logit_bias");
  if (!object) return;
  if (object->size() > most_bias)
    refuse_value("logit_bias", "logit_bias names more than {} tokens", most_bias);
  const Fields fields(*object, "logit_bias");
  for (const auto& [key, value] : object->items()) {
    int32_t token = -1;
    const auto end = key.data() + key.size();
    const auto [stopped, error] = std::from_chars(key.data(), end, token);
    if (error != std::errc() || stopped != end || token < 0)
      refuse_form("logit_bias", "logit_bias has the key {}, no token id", shown(key));
    if (const auto number = fields.number(key.c_str(), -100, 100)) bias[token] = *number;
  }
}

void parse_length(const Fields& body, TextRequest& request) {
  request.max_tokens = body.integer("max_tokens", 0, most_tokens);
  const auto newer = body.integer("max_completion_tokens", 1, most_tokens);
  if (newer) request.max_tokens = newer;
}

std::vector<int32_t> token_list(const Json& list, const char* name) {
  std::vector<int32_t> tokens;
  tokens.reserve(list.size());
  for (const Json& token : list) {
    if (!token.is_number_integer() || token < 0 || token > INT32_MAX)
      refuse_form(name, "{} holds {}, no token id", name, shown(token));
    tokens.push_back(token.get<int32_t>());
  }
  return tokens;
}

// A string, token ids, or a list of either.
std::vector<TextOrTokens> parse_inputs(const Fields& body, const char* name, int64_t most) {
  const Json& value = body.require(name);
  if (value.is_string()) return {value.get<std::string>()};
  const Json& list = *body.list(name);
  if (list.empty()) refuse_form(name, "{} is empty", name);
  if (list[0].is_number()) return {token_list(list, name)};
  if (list.size() > static_cast<size_t>(most))
    refuse_value(name, "{} holds {} texts; at most {}", name, list.size(), most);
  std::vector<TextOrTokens> inputs;
  for (const Json& input : list) {
    if (input.is_string())
      inputs.emplace_back(input.get<std::string>());
    else if (input.is_array())
      inputs.emplace_back(token_list(input, name));
    else
      refuse_form(name, "{} holds {}, neither text nor token ids", name, shown(input));
  }
  return inputs;
}

}  // namespace

void parse_text_request(const Fields& body, TextRequest& request) {
  request.model = body.string("model").value_or("");
  request.temperature = body.number("temperature", 0, 2);
  request.top_p = body.number("top_p", 0, 1);
  request.min_p = body.number("min_p", 0, 1);
  request.presence_penalty = body.number("presence_penalty", -2, 2);
  request.frequency_penalty = body.number("frequency_penalty", -2, 2);
  request.repetition_penalty = body.number("repetition_penalty", 0.01, 100);
  request.top_k = body.integer("top_k", -1, most_tokens);
  request.seed = body.integer("seed", INT64_MIN / 2, INT64_MAX / 2);
  request.n = static_cast<int>(body.integer("n", 1, most_answers).value_or(1));
  request.stream = body.boolean("stream").value_or(false);
  parse_logit_bias(body, request.logit_bias);
  parse_stop(body, request.stop);
  parse_length(body, request);
  if (const Json* options = body.object("stream_options"))
    request.include_usage =
        Fields(*options, "stream_options").boolean("include_usage").value_or(false);
}

CompletionRequestBody parse_completion_request(const Json& json) {
  const Fields body(json, "");
  CompletionRequestBody request;
  parse_text_request(body, request);
  request.prompts = parse_inputs(body, "prompt", most_prompts);
  if (static_cast<int64_t>(request.prompts.size()) * request.n > most_prompts)
    refuse_value("n", "{} prompts with {} answers each; at most {} answers in all",
                 request.prompts.size(), request.n, most_prompts);
  request.suffix = body.string("suffix");
  request.echo = body.boolean("echo").value_or(false);
  request.top_logprobs = body.integer("logprobs", 0, most_top_logprobs).value_or(-1);
  body.integer("best_of", 1, request.n);  // more answers than are shown are not made
  if (request.max_tokens == 0 && !request.echo)
    refuse_value("max_tokens", "max_tokens is 0; only with echo can nothing be written");
  if (request.suffix && (request.echo || request.prompts.size() > 1))
    refuse_value("suffix", "suffix goes with one prompt, and without echo");
  return request;
}

EmbeddingRequestBody parse_embedding_request(const Json& json) {
  const Fields body(json, "");
  EmbeddingRequestBody request;
  request.model = body.string("model").value_or("");
  request.inputs = parse_inputs(body, "input", most_inputs);
  request.dimensions = body.integer("dimensions", 1, most_tokens);
  const std::string format = body.string("encoding_format").value_or("float");
  if (format != "float" && format != "base64")
    refuse_value("encoding_format", "encoding_format is {}; expected float or base64",
                 shown(format));
  request.as_base64 = format == "base64";
  return request;
}

}  // namespace minke
