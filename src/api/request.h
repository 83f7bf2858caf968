#pragma once
// What a client asks for. Each parse function throws an ApiError that names the wrong field; what
// no field means here is ignored, as other servers ignore it.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/json.h"
#include "text/chat_template.h"

namespace minke {

constexpr int64_t most_top_logprobs = 20;

// What requests for text have in common; nothing: the model's own.
struct TextRequest {
  std::string model;
  std::optional<double> temperature, top_p, min_p;
  std::optional<double> presence_penalty, frequency_penalty, repetition_penalty;
  std::optional<int64_t> top_k, seed;
  std::map<int32_t, double> logit_bias;
  std::optional<int64_t> max_tokens;  // of each answer, at least 1
  std::vector<std::string> stop;
  int n = 1;  // answers
  bool stream = false, include_usage = false;
  int64_t top_logprobs = -1;  // -1: no log-probabilities
};

struct ToolDefinition {
  std::string name;
  std::optional<Json> parameters;  // a JSON schema
  bool strict = false;             // arguments follow the schema whatever the model would write
};

enum class ToolChoice { automatic, none, required, function };

struct ResponseFormat {
  enum class Kind { text, json_object, json_schema } kind = Kind::text;
  Json schema;
};

struct ChatRequestBody : TextRequest {
  std::vector<ChatMessage> messages;
  bool continue_final = false;  // the last message is the beginning of the answer ("prefix")
  std::string tools_text;       // JSON list for the chat template; "" without tools
  std::vector<ToolDefinition> tools;
  ToolChoice tool_choice = ToolChoice::automatic;
  std::string chosen_function;  // tool_choice == function
  bool parallel_tool_calls = true;
  ResponseFormat format;
  std::optional<bool> thinking;
  std::optional<int64_t> thinking_budget;  // tokens of reasoning at most
};

// Text, or the ids of its tokens.
using TextOrTokens = std::variant<std::string, std::vector<int32_t>>;

struct CompletionRequestBody : TextRequest {
  std::vector<TextOrTokens> prompts;
  std::optional<std::string> suffix;  // fill in the middle
  bool echo = false;                  // the prompt is part of the answer
};

struct EmbeddingRequestBody {
  std::string model;
  std::vector<TextOrTokens> inputs;
  bool as_base64 = false;             // of little-endian f32
  std::optional<int64_t> dimensions;  // of each embedding
};

// What all requests for text have.
void parse_text_request(const Fields& body, TextRequest& request);

ChatRequestBody parse_chat_request(const Json& body);
CompletionRequestBody parse_completion_request(const Json& body);
EmbeddingRequestBody parse_embedding_request(const Json& body);

}  // namespace minke
