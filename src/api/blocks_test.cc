#include <gtest/gtest.h>

#include "api/blocks.h"
#include "api/request.h"

namespace minke {
namespace {

using Kind = AnswerBlock::Kind;

TEST(Blocks, OtherSpellingsBecomeChats) {
  const Json messages = Json::parse(R"({"max_tokens": 3, "system": "s", "messages": [
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"},
                                 {"type": "text", "text": "u"}]}]})");
  const ChatRequestBody chat = parse_chat_request(chat_of_messages(messages).body());
  ASSERT_EQ(chat.messages.size(), 4u);
  EXPECT_EQ(chat.messages[0].role, "system");
  EXPECT_EQ(chat.messages[1].tool_calls[0].arguments, R"({"a":1})");
  EXPECT_EQ(chat.messages[2].role, "tool");
  EXPECT_EQ(chat.messages[3].content, "u");
  const Json responses = Json::parse(R"({"input": [{"role": "user", "content": "u"},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "r"}], "max_output_tokens": 4})");
  const ChatRequestBody same = parse_chat_request(chat_of_responses(responses).body());
  ASSERT_EQ(same.messages.size(), 3u);
  EXPECT_EQ(same.messages[1].tool_calls[0].id, "c");
  EXPECT_EQ(same.max_tokens, 4);
  EXPECT_THROW(chat_of_responses({{"input", "x"}, {"previous_response_id", "r"}}), ApiError);
}

// The field that an error names, and whether its text does too.
std::string refused_field(const ChatTranslation& asked) {
  try {
    parse_chat_request(asked.body());
    return "";
  } catch (const ApiError& error) {
    const ApiError sent = asked.as_sent(error);
    EXPECT_EQ(sent.status, error.status);
    EXPECT_TRUE(std::string(sent.what()).starts_with(sent.param)) << sent.what();
    return sent.param;
  }
}

TEST(Blocks, ErrorsNameTheFieldsOfMessages) {
  const auto refused = [](const char* changes) {
    Json body = Json::parse(R"({"max_tokens": 3, "system": "s",
                                "messages": [{"role": "user", "content": "u"}]})");
    body.update(Json::parse(changes));
    return refused_field(chat_of_messages(body));
  };
  EXPECT_EQ(refused("{}"), "");
  EXPECT_EQ(refused(R"({"max_tokens": -1})"), "max_tokens");
  EXPECT_EQ(refused(R"({"stop_sequences": 5})"), "stop_sequences");
  EXPECT_EQ(refused(R"({"system": 5})"), "system");
  EXPECT_EQ(refused(R"({"system": [{"type": "image"}]})"), "system[0].type");
  EXPECT_EQ(refused(R"({"messages": [{"role": "whale", "content": "u"}]})"), "messages[0].role");
  const char* image_after_result = R"({"messages": [{"role": "user", "content": [
    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}]},
    {"type": "text", "text": "u"}, {"type": "image"}]}]})";
  EXPECT_EQ(refused(image_after_result), "messages[0].content[2].type");
  const char* image_as_result = R"({"messages": [{"role": "user", "content": [
    {"type": "text", "text": "u"},
    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}]}]})";
  EXPECT_EQ(refused(image_as_result), "messages[0].content[1].content[0].type");
  EXPECT_EQ(refused(R"({"tools": [{"name": "a b", "input_schema": {}}]})"), "tools[0].name");
  EXPECT_EQ(refused(R"({"tools": [{"name": "a", "input_schema": 5}]})"), "tools[0].input_schema");
  EXPECT_THROW(refused(R"({"tool_choice": {"type": "whale"}})"), ApiError);
}

TEST(Blocks, ErrorsNameTheFieldsOfResponses) {
  const auto refused = [](const char* changes) {
    Json body = Json::parse(R"({"instructions": "i", "input": "u"})");
    body.update(Json::parse(changes));
    return refused_field(chat_of_responses(body));
  };
  EXPECT_EQ(refused("{}"), "");
  EXPECT_EQ(refused(R"({"max_output_tokens": 0})"), "max_output_tokens");
  EXPECT_EQ(refused(R"({"input": [{"role": "user", "content": "u"},
                                  {"role": "whale", "content": "u"}]})"),
            "input[1].role");
  EXPECT_EQ(refused(R"({"input": [{"type": "function_call_output", "call_id": "c",
                                   "output": [{"type": "image"}]}]})"),
            "input[0].output[0].type");
  EXPECT_EQ(refused(R"({"text": {"format": {"type": "whale"}}})"), "text.format.type");
  EXPECT_EQ(refused(R"({"text": {"format": {"type": "json_schema"}}})"), "text.format.schema");
  EXPECT_EQ(refused(R"({"tools": [{"type": "function", "name": "a", "parameters": 5}]})"),
            "tools[0].parameters");
}

TEST(Blocks, MessagesTellThePromptsLengthFirst) {
  const auto begin = messages_events({"id", "m", 0})->begin(7);
  ASSERT_EQ(begin.size(), 1u);
  const Json event = Json::parse(begin[0].data);
  EXPECT_EQ(event["message"]["usage"]["input_tokens"], 7);
  EXPECT_TRUE(event["message"]["stop_reason"].is_null());
}

TEST(Blocks, ArgumentsThatAreNoObjectStayText) {
  const auto input = [](const std::string& arguments) {
    const AnswerBlock call{Kind::call, "c", "f", arguments};
    return messages_json({"id", "m", 0}, {call}, {})["content"][0]["input"];
  };
  EXPECT_EQ(input(R"({"a": 1})"), Json({{"a", 1}}));
  EXPECT_EQ(input(""), Json::object());
  EXPECT_EQ(input("{\"a"), Json({{"text", "{\"a"}}));
  std::string deep = "{\"a\": ";
  for (int i = 0; i < 500000; ++i) deep += '[';
  deep.append(500000, ']') += '}';
  EXPECT_EQ(input(deep), Json({{"text", deep}}));
}

TEST(Blocks, ACutItemIsIncomplete) {
  const AnswerHead head{"id", "m", 0};
  const AnswerBlock text{Kind::text, "t", "", "Let me see."};
  AnswerBlock call{Kind::call, "c", "f", "{\"a"};
  call.is_cut = true;
  const AnswerEnd end{"length", "", {}};
  const Json response = responses_json(head, Json::object(), {text, call}, &end);
  EXPECT_EQ(response["status"], "incomplete");
  EXPECT_EQ(response["output"][0]["status"], "completed");
  EXPECT_EQ(response["output"][1]["status"], "incomplete");
  const auto events = responses_events(head, Json::object())->close(1, call);
  ASSERT_EQ(events.size(), 1u) << "no function_call_arguments.done";
  EXPECT_EQ(Json::parse(events[0].data)["item"]["status"], "incomplete");
  AnswerBlock cut_text = text;
  cut_text.is_cut = true;
  const Json item = responses_json(head, Json::object(), {cut_text}, &end)["output"][0];
  EXPECT_EQ(item["status"], "incomplete");
  EXPECT_EQ(item["content"][0]["text"], "Let me see.");
}

}  // namespace
}  // namespace minke
