#include "api/request.h"

#include <gtest/gtest.h>

#include "api/error.h"
#include "api/response.h"

namespace minke {
namespace {

int status_of(const std::string& body) {
  try {
    parse_chat_request(parse_body(body));
    return 200;
  } catch (const ApiError& error) {
    return error.status;
  }
}

TEST(Request, AChatsFieldsAreRead) {
  const ChatRequestBody request = parse_chat_request(parse_body(R"({
    "model": "m", "messages": [
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "assistant", "content": "c", "prefix": true}],
    "max_completion_tokens": 7, "stop": "x", "logit_bias": {"5": -3.5}, "temperature": null,
    "tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": {}}}],
    "tool_choice": "required", "thinking": {"type": "enabled", "budget_tokens": 9},
    "logprobs": true, "top_logprobs": 2})"));
  EXPECT_EQ(request.messages[0].content, "ab");
  EXPECT_TRUE(request.continue_final);
  EXPECT_EQ(request.max_tokens, 7);
  EXPECT_EQ(request.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(request.logit_bias.at(5), -3.5);
  EXPECT_FALSE(request.temperature);
  EXPECT_TRUE(request.tools[0].strict);
  EXPECT_EQ(request.tools_text.find("strict"), std::string::npos);
  EXPECT_EQ(request.tool_choice, ToolChoice::required);
  EXPECT_EQ(request.thinking, true);
  EXPECT_EQ(request.thinking_budget, 9);
  EXPECT_EQ(request.top_logprobs, 2);
}

TEST(Request, WrongOnesAreRefusedWithTheirStatus) {
  const std::string user = R"("messages": [{"role": "user", "content": "x"}])";
  EXPECT_EQ(status_of("{" + user + "}"), 200);
  EXPECT_EQ(status_of("{" + user), 400);
  EXPECT_EQ(status_of("{}"), 400);
  EXPECT_EQ(status_of("{" + user + R"(, "n": "2"})"), 400);
  EXPECT_EQ(status_of("{" + user + R"(, "n": 2.5})"), 400);
  EXPECT_EQ(status_of("{" + user + R"(, "n": 0})"), 422);
  EXPECT_EQ(status_of("{" + user + R"(, "max_tokens": 1e400})"), 400);
  EXPECT_EQ(status_of("{" + user + R"(, "tool_choice": "required"})"), 422);
  EXPECT_EQ(status_of(R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})"),
            422);
  EXPECT_EQ(status_of(R"({"messages": [{"role": "user", "content": "\ud800"}]})"), 400);
  EXPECT_EQ(status_of(std::string(100, '[') + std::string(100, ']')), 400);
  std::string wide = "{";
  for (int i = 0; i < 2000; ++i) wide += "\"" + std::to_string(i) + "\": 1, ";
  EXPECT_EQ(status_of(wide + user + "}"), 400);
}

int embedding_status(const std::string& body) {
  try {
    parse_embedding_request(parse_body(body));
    return 200;
  } catch (const ApiError& error) {
    return error.status;
  }
}

TEST(Request, InputsToEmbedComeInFourForms) {
  const auto inputs = [](const std::string& input) {
    return parse_embedding_request(parse_body("{\"input\": " + input + "}")).inputs;
  };
  using Tokens = std::vector<int32_t>;
  using Inputs = std::vector<TextOrTokens>;
  EXPECT_EQ(inputs(R"("a")"), Inputs({"a"}));
  EXPECT_EQ(inputs(R"(["a", "b"])"), Inputs({"a", "b"}));
  EXPECT_EQ(inputs("[1, 2]"), Inputs({Tokens{1, 2}}));
  EXPECT_EQ(inputs("[[1], [2, 3]]"), Inputs({Tokens{1}, Tokens{2, 3}}));
  EXPECT_TRUE(parse_embedding_request(parse_body(R"({"input": "a", "encoding_format": "base64"})"))
                  .as_base64);
  EXPECT_EQ(embedding_status(R"({"input": "a", "encoding_format": "hex"})"), 422);
  EXPECT_EQ(embedding_status(R"({"input": "a", "dimensions": 0})"), 422);
  EXPECT_EQ(embedding_status(R"({"input": []})"), 400);
  EXPECT_EQ(embedding_status(R"({"input": {}})"), 400);
  EXPECT_EQ(embedding_status(R"({"input": [1, "a"]})"), 400);
  EXPECT_EQ(embedding_status(R"({"input": [-1]})"), 400);
  EXPECT_EQ(embedding_status("{}"), 400);
}

TEST(Response, EmbeddingsAreNumbersOrBase64) {
  const std::vector<std::vector<float>> two = {{0.5f, -1}, {1e-7f, 0}};
  const Json numbers = Json::parse(embeddings_text("m\"", two, false, 7));
  EXPECT_EQ(numbers["model"], "m\"");
  EXPECT_EQ(numbers["usage"]["total_tokens"], 7);
  EXPECT_EQ(numbers["data"][1]["index"], 1);
  EXPECT_EQ(numbers["data"][1]["embedding"].get<std::vector<float>>(), two[1]);
  const auto text = [](std::vector<float> values) {
    return Json::parse(embeddings_text("m", {values}, true, 1))["data"][0]["embedding"];
  };
  EXPECT_EQ(text({0.5f, -1}), "AAAAPwAAgL8=");
  EXPECT_EQ(text({0.5f}), "AAAAPw==");
  EXPECT_EQ(text({0.5f, -1, 2}), "AAAAPwAAgL8AAABA");
}

TEST(Response, ACompletionComesBackAsItWasWritten) {
  ChatCompletion completion;
  completion.head = {"id", "model", 5};
  ChatChoice choice;
  choice.message.content = "a\"b\n";
  choice.message.reasoning_content = "r";
  choice.message.tool_calls = {{"c", "f", "{}"}};
  choice.finish_reason = "tool_calls";
  completion.choices = {choice};
  completion.usage = {10, 5, 4, 3};
  const ChatCompletion back = parse_chat_completion(Json::parse(to_text(to_json(completion))));
  EXPECT_EQ(back.choices[0].message.content, "a\"b\n");
  EXPECT_EQ(back.choices[0].message.reasoning_content, "r");
  EXPECT_EQ(back.choices[0].message.tool_calls[0].name, "f");
  EXPECT_EQ(back.usage.cached_tokens, 4);
  EXPECT_EQ(back.usage.reasoning_tokens, 3);
}

}  // namespace
}  // namespace minke
