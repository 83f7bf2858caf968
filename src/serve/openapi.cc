#include "serve/openapi.h"

#include "api/json.h"

namespace minke {
namespace {

// JSON schemas of what requests and answers hold; "additionalProperties" stays open, because other
// fields are ignored.
constexpr const char* components = R"json({
  "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
  "schemas": {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": {
      "type": "object", "required": ["message", "type"], "properties": {
        "message": {"type": "string"}, "type": {"type": "string"},
        "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}}}},
    "Event": {"type": "object", "required": ["data"], "properties": {
      "event": {"type": "string"}, "data": {"type": "string"}}},
    "Usage": {"type": "object",
      "required": ["prompt_tokens", "completion_tokens", "total_tokens"], "properties": {
        "prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"}, "prompt_cache_hit_tokens": {"type": "integer"},
        "prompt_cache_miss_tokens": {"type": "integer"},
        "completion_tokens_details": {"type": "object"},
        "prompt_tokens_details": {"type": "object"}}},
    "TextRequest": {"type": "object", "properties": {
      "model": {"type": "string", "description": "One of /v1/models; the first if absent"},
      "max_tokens": {"type": "integer", "minimum": 1, "maximum": 4294967296},
      "temperature": {"type": "number", "minimum": 0, "maximum": 2},
      "top_p": {"type": "number", "minimum": 0, "maximum": 1},
      "min_p": {"type": "number", "minimum": 0, "maximum": 1},
      "top_k": {"type": "integer", "minimum": 0},
      "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2},
      "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2},
      "repetition_penalty": {"type": "number", "minimum": 0.01, "maximum": 100},
      "logit_bias": {"type": "object", "additionalProperties": {"type": "number"}},
      "seed": {"type": "integer"},
      "n": {"type": "integer", "minimum": 1, "maximum": 16},
      "stop": {"anyOf": [{"type": "string"},
                         {"type": "array", "items": {"type": "string"}, "maxItems": 16}]},
      "stream": {"type": "boolean"},
      "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}}}},
    "ChatRequest": {"allOf": [{"$ref": "#/components/schemas/TextRequest"},
      {"type": "object", "required": ["messages"], "properties": {
        "messages": {"type": "array", "minItems": 1, "maxItems": 4096, "items": {
          "type": "object", "required": ["role"], "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
            "content": {"type": ["string", "null"]}, "reasoning_content": {"type": "string"},
            "prefix": {"type": "boolean"}, "tool_call_id": {"type": "string"},
            "tool_calls": {"type": "array", "items": {"type": "object"}}}}},
        "max_completion_tokens": {"type": "integer", "minimum": 1},
        "tools": {"type": "array", "maxItems": 128, "items": {"type": "object"}},
        "tool_choice": {"anyOf": [{"enum": ["auto", "none", "required"]}, {"type": "object"}]},
        "parallel_tool_calls": {"type": "boolean"},
        "response_format": {"type": "object", "required": ["type"], "properties": {
          "type": {"enum": ["text", "json_object", "json_schema"]}}},
        "thinking": {"type": "object", "required": ["type"], "properties": {
          "type": {"enum": ["enabled", "disabled"]}, "budget_tokens": {"type": "integer"}}},
        "logprobs": {"type": "boolean"},
        "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20}}}]},
    "ChatCompletion": {"type": "object",
      "required": ["id", "object", "created", "model", "choices", "usage"], "properties": {
        "id": {"type": "string"}, "object": {"const": "chat.completion"},
        "created": {"type": "integer"}, "model": {"type": "string"},
        "choices": {"type": "array", "minItems": 1, "items": {"type": "object",
          "required": ["index", "message", "finish_reason"], "properties": {
            "index": {"type": "integer"}, "message": {"type": "object", "required": ["role", "content"],
              "properties": {"role": {"const": "assistant"}, "content": {"type": ["string", "null"]},
                             "reasoning_content": {"type": "string"}}},
            "finish_reason": {"enum": ["stop", "length", "tool_calls"]}}}},
        "usage": {"$ref": "#/components/schemas/Usage"}}},
    "CompletionRequest": {"allOf": [{"$ref": "#/components/schemas/TextRequest"},
      {"type": "object", "required": ["prompt"], "properties": {
        "prompt": {"anyOf": [{"type": "string"},
          {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
          {"type": "array", "minItems": 1, "maxItems": 256, "items": {"type": "string"}}]},
        "suffix": {"type": "string"}, "echo": {"type": "boolean"},
        "logprobs": {"type": "integer", "minimum": 0, "maximum": 20}}}]},
    "Completion": {"type": "object",
      "required": ["id", "object", "created", "model", "choices", "usage"], "properties": {
        "object": {"const": "text_completion"},
        "choices": {"type": "array", "minItems": 1, "items": {"type": "object",
          "required": ["index", "text", "finish_reason"], "properties": {
            "text": {"type": "string"}, "finish_reason": {"enum": ["stop", "length"]}}}},
        "usage": {"$ref": "#/components/schemas/Usage"}}},
    "EmbeddingRequest": {"type": "object", "required": ["input"], "properties": {
      "model": {"type": "string"},
      "input": {"anyOf": [{"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
        {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"type": "string", "minLength": 1}},
        {"type": "array", "minItems": 1, "maxItems": 2048, "items": {
          "type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}}]},
      "encoding_format": {"enum": ["float", "base64"]},
      "dimensions": {"type": "integer", "minimum": 1, "description": "The model's own"}}},
    "Embeddings": {"type": "object", "required": ["object", "data", "model", "usage"], "properties": {
      "object": {"const": "list"}, "model": {"type": "string"},
      "data": {"type": "array", "minItems": 1, "items": {"type": "object",
        "required": ["object", "index", "embedding"], "properties": {
          "object": {"const": "embedding"}, "index": {"type": "integer"},
          "embedding": {"anyOf": [{"type": "string"},
                                  {"type": "array", "items": {"type": "number"}}]}}}},
      "usage": {"type": "object", "required": ["prompt_tokens", "total_tokens"], "properties": {
        "prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}}}}},
    "ResponsesRequest": {"type": "object", "required": ["input"], "properties": {
      "model": {"type": "string"},
      "input": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
      "instructions": {"type": "string"}, "stream": {"type": "boolean"},
      "max_output_tokens": {"type": "integer", "minimum": 1},
      "temperature": {"type": "number", "minimum": 0, "maximum": 2},
      "top_p": {"type": "number", "minimum": 0, "maximum": 1}}},
    "Response": {"type": "object", "required": ["id", "object", "status", "output", "usage"],
      "properties": {"object": {"const": "response"},
        "status": {"enum": ["completed", "incomplete"]},
        "output": {"type": "array", "items": {"type": "object", "required": ["type", "id"]}}}},
    "MessagesPrompt": {"type": "object", "required": ["messages"], "properties": {
      "model": {"type": "string"},
      "messages": {"type": "array", "minItems": 1, "items": {"type": "object",
        "required": ["role", "content"], "properties": {
          "role": {"enum": ["user", "assistant"]},
          "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]}}}},
      "system": {"type": "string"},
      "tools": {"type": "array", "maxItems": 128, "items": {"type": "object"}}}},
    "MessagesRequest": {"allOf": [{"$ref": "#/components/schemas/MessagesPrompt"},
      {"type": "object", "required": ["max_tokens"], "properties": {
        "max_tokens": {"type": "integer", "minimum": 1}, "stream": {"type": "boolean"},
        "stop_sequences": {"type": "array", "items": {"type": "string"}}}}]},
    "MessagesCount": {"type": "object", "required": ["input_tokens"], "properties": {
      "input_tokens": {"type": "integer"}}},
    "Message": {"type": "object",
      "required": ["id", "type", "role", "model", "content", "stop_reason", "usage"], "properties": {
        "type": {"const": "message"}, "role": {"const": "assistant"},
        "content": {"type": "array", "items": {"type": "object", "required": ["type"]}},
        "stop_reason": {"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use"]}}},
    "TokenizeRequest": {"type": "object", "required": ["content"], "properties": {
      "content": {"type": "string"}, "add_special": {"type": "boolean"},
      "parse_special": {"type": "boolean"}}},
    "Tokens": {"type": "object", "required": ["tokens", "count", "max_model_len"], "properties": {
      "tokens": {"type": "array", "items": {"type": "integer"}}, "count": {"type": "integer"},
      "max_model_len": {"type": "integer"}}},
    "DetokenizeRequest": {"type": "object", "required": ["tokens"], "properties": {
      "tokens": {"type": "array", "items": {"type": "integer", "minimum": 0}}}},
    "Text": {"type": "object", "required": ["content"], "properties": {
      "content": {"type": "string"}}},
    "Model": {"type": "object", "required": ["id", "object", "created", "owned_by"], "properties": {
      "id": {"type": "string"}, "object": {"const": "model"}, "created": {"type": "integer"},
      "owned_by": {"type": "string"}}},
    "Models": {"type": "object", "required": ["object", "data"], "properties": {
      "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}},
    "Runs": {"type": "object", "required": ["runs"], "properties": {
      "runs": {"type": "array", "items": {"type": "object", "required": ["name", "modified", "stages"]}}}},
    "Lines": {"type": "object", "required": ["lines", "next"], "properties": {
      "lines": {"type": "array"}, "next": {"type": "integer", "minimum": 0}}},
    "Ledger": {"type": ["object", "null"]},
    "Status": {"type": "object", "required": ["status"], "properties": {
      "status": {"type": "string"}}}
  }
})json";

Json reference(const std::string& name) { return {{"$ref", "#/components/schemas/" + name}}; }

Json json_content(const std::string& schema) {
  return {{"application/json", {{"schema", reference(schema)}}}};
}

Json responses(const Json& content) {
  return {{"200", {{"description", "The answer"}, {"content", content}}},
          {"default", {{"description", "What is wrong"}, {"content", json_content("Error")}}}};
}

// A key, or none where the server asks for none.
Json key_security() { return Json::array({{{"key", Json::array()}}, Json::object()}); }

Json post(const char* summary, const std::string& request, const std::string& answer,
          bool can_stream) {
  Json content = json_content(answer);
  if (can_stream) content["text/event-stream"] = {{"schema", reference("Event")}};
  return {{"post",
           {{"summary", summary},
            {"security", key_security()},
            {"requestBody", {{"required", true}, {"content", json_content(request)}}},
            {"responses", responses(content)}}}};
}

Json get(const char* summary, const Json& content) {
  return {{"get", {{"summary", summary}, {"responses", responses(content)}}}};
}

Json get_with_key(const char* summary, const Json& content, Json parameters = Json::array()) {
  Json path = get(summary, content);
  path["get"]["security"] = key_security();
  path["get"]["parameters"] = std::move(parameters);
  return path;
}

// in: path or query.
Json parameter(const char* name, const char* in, Json schema) {
  return {{"name", name},
          {"in", in},
          {"required", in == std::string_view("path")},
          {"schema", std::move(schema)}};
}

void add_runs(Json& paths) {
  const Json run = parameter("run", "path", {{"type", "string"}});
  const Json after = parameter("after", "query", {{"type", "integer"}, {"minimum", 0}});
  paths["/api/runs"] = get_with_key("Runs below --runs, newest first", json_content("Runs"));
  paths["/api/runs/{run}/metrics"] = get_with_key("Lines of metrics.jsonl from a byte on",
                                                  json_content("Lines"), Json::array({run, after}));
  paths["/api/runs/{run}/samples"] = get_with_key("Lines of samples.jsonl from a byte on",
                                                  json_content("Lines"), Json::array({run, after}));
  paths["/api/runs/{run}/ledger"] =
      get_with_key("The run's bill", json_content("Ledger"), Json::array({run}));
}

Json text_content(const char* type) { return {{type, {{"schema", {{"type", "string"}}}}}}; }

Json document() {
  Json paths;
  paths["/v1/chat/completions"] = post("OpenAI's chat completions, with DeepSeek's fields",
                                       "ChatRequest", "ChatCompletion", true);
  paths["/v1/completions"] =
      post("Text that goes on, or is filled in", "CompletionRequest", "Completion", true);
  paths["/v1/embeddings"] = post("Texts as vectors of length 1: means of the last hidden states",
                                 "EmbeddingRequest", "Embeddings", false);
  paths["/v1/responses"] =
      post("OpenAI's Responses, without storage", "ResponsesRequest", "Response", true);
  paths["/v1/messages"] = post("Anthropic's Messages", "MessagesRequest", "Message", true);
  paths["/v1/messages/count_tokens"] =
      post("Tokens of the prompt that Messages make", "MessagesPrompt", "MessagesCount", false);
  paths["/v1/models"] = get_with_key("Names that can be asked for", json_content("Models"));
  paths["/v1/models/{model}"] =
      get_with_key("Whether a name can be asked for", json_content("Model"),
                   Json::array({parameter("model", "path", {{"type", "string"}})}));
  paths["/tokenize"] = post("Text to token ids", "TokenizeRequest", "Tokens", false);
  paths["/detokenize"] = post("Token ids to text", "DetokenizeRequest", "Text", false);
  paths["/health"] = get("The process lives", json_content("Status"));
  paths["/ready"] = get("A model is loaded", json_content("Status"));
  add_runs(paths);
  paths["/metrics"] = get_with_key("Prometheus' metrics", text_content("text/plain"));
  paths["/"] = get("The page", text_content("text/html"));
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "Minke"}, {"version", "1"}}},
          {"paths", std::move(paths)},
          {"components", Json::parse(components)}};
}

}  // namespace

const std::string& openapi_document() {
  static const std::string text = to_text(document());
  return text;
}

}  // namespace minke
