#include "text/chat_parser.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace minke {
namespace {

using Kind = ChatDelta::Kind;
using Deltas = std::vector<ChatDelta>;

// Neighbours of one kind joined, as a client sees them at the end.
Deltas joined(const Deltas& deltas) {
  Deltas result;
  for (const ChatDelta& delta : deltas)
    if (!result.empty() && result.back().kind == delta.kind && result.back().index == delta.index &&
        delta.kind != Kind::tool_name)
      result.back().text += delta.text;
    else
      result.push_back(delta);
  return result;
}

struct Options {
  bool in_reasoning = false, tools = true;
};

// In pieces of at most so many bytes.
Deltas parse(ChatFamily family, std::string_view text, Options options, size_t piece) {
  ChatParser parser(family, options.in_reasoning, options.tools);
  Deltas all;
  const auto add = [&](const Deltas& more) { all.insert(all.end(), more.begin(), more.end()); };
  for (size_t at = 0; at < text.size(); at += piece) add(parser.push(text.substr(at, piece)));
  add(parser.finish());
  return joined(all);
}

void expect(ChatFamily family, std::string_view text, const Deltas& expected,
            Options options = {}) {
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}, text.size() + 1})
    EXPECT_EQ(parse(family, text, options, piece), expected) << text << " in pieces of " << piece;
}

ChatDelta content(const char* text) { return {Kind::content, text, 0}; }
ChatDelta reasoning(const char* text) { return {Kind::reasoning, text, 0}; }
ChatDelta name(const char* text, int index = 0) { return {Kind::tool_name, text, index}; }
ChatDelta arguments(const char* text, int index = 0) { return {Kind::tool_arguments, text, index}; }

TEST(ChatParser, ReasoningOpenedByThePromptOrTheModel) {
  const char* answer = "r\nr\n</think>\n\nanswer";
  expect(ChatFamily::deepseek_r1, answer, {reasoning("r\nr"), content("answer")}, {true});
  expect(ChatFamily::deepseek_v31, "r</think>answer", {reasoning("r"), content("answer")}, {true});
  expect(ChatFamily::qwen3, std::string("<think>\n") + answer,
         {reasoning("r\nr"), content("answer")});
  expect(ChatFamily::qwen3, "<think>\n\n</think>\n\nanswer", {content("answer")});
  expect(ChatFamily::deepseek_r1, "never closed", {reasoning("never closed")}, {true});
  expect(ChatFamily::deepseek_r1, "cut </thi", {reasoning("cut </thi")}, {true});
  expect(ChatFamily::deepseek_v3, "a <think> b </think>", {content("a <think> b </think>")});
  expect(ChatFamily::deepseek_v3, "<thin", {content("<thin")});
  expect(ChatFamily::deepseek_v3, "\n hi", {content("\n hi")});
}

TEST(ChatParser, ToolCallsOfV3AndR1) {
  expect(
      ChatFamily::deepseek_v3,
      "Let me see.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
      "{\"a\": 1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n"
      "{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
      {content("Let me see."), name("f"), arguments("{\"a\": 1}"), name("g", 1),
       arguments("{}", 1)});
  expect(ChatFamily::deepseek_r1,
         "r</think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n{}"
         "<｜tool▁call▁end｜>",
         {reasoning("r"), name("f"), arguments("{}")}, {true});
}

TEST(ChatParser, ToolCallsOfV31) {
  expect(ChatFamily::deepseek_v31,
         "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{\"a\": \"```\"}"
         "<｜tool▁call▁end｜><｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
         "<｜tool▁calls▁end｜>after",
         {name("function"), arguments("{\"a\": \"```\"}"), name("g", 1), arguments("{}", 1),
          content("after")});
}

TEST(ChatParser, ToolCallsOfQwen) {
  expect(ChatFamily::qwen2,
         "Hm.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1]}}\n</tool_call>\n"
         "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
         {content("Hm."), name("f"), arguments("{\"a\": [1]}"), name("g", 1), arguments("{}", 1)});
  expect(ChatFamily::chatml, "<tool_call>no JSON</tool_call> x",
         {content("<tool_call>no JSON</tool_call> x")});
  expect(ChatFamily::chatml, "a\n<tool_call>", {content("a\n<tool_call>")});
  expect(ChatFamily::chatml, "a\n<tool_call>{\"name\"", {content("a\n<tool_call>{\"name\"")});
}

TEST(ChatParser, ToolCallsOfLlama) {
  const char* call = "{\"name\": \"f\", \"parameters\": {\"a\": 1}}";
  expect(ChatFamily::llama3, call, {name("f"), arguments("{\"a\": 1}")});
  expect(ChatFamily::llama3, std::string("<|python_tag|>") + call,
         {name("f"), arguments("{\"a\": 1}")});
  expect(ChatFamily::llama3, std::string("\n") + call, {name("f"), arguments("{\"a\": 1}")});
  expect(ChatFamily::llama3, " <|python_tag|>print(1)", {content(" <|python_tag|>print(1)")});
  expect(ChatFamily::llama3, call, {content(call)}, {false, false});
  expect(ChatFamily::llama3, "{\"name\": 1}", {content("{\"name\": 1}")});
  expect(ChatFamily::llama3, "{not JSON", {content("{not JSON")});
  expect(ChatFamily::llama3, "text {}", {content("text {}")});
}

TEST(ChatParser, ArgumentsInJsonAreHandedOutAsTheyCome) {
  ChatParser qwen(ChatFamily::qwen3, false, true);
  EXPECT_EQ(qwen.push("<tool_call>\n{\"name\": \"f\", \"arguments\": "), Deltas());
  EXPECT_EQ(qwen.push("{\"a\": \"x}"), Deltas({name("f"), arguments("{\"a\": \"x}")}));
  EXPECT_EQ(qwen.push("y\\\""), Deltas({arguments("y\\\"")}));
  EXPECT_EQ(qwen.push("</tool_"), Deltas());
  EXPECT_EQ(qwen.push("\", \"b\": [{}]"), Deltas({arguments("</tool_\", \"b\": [{}]")}));
  EXPECT_EQ(qwen.push("}}\n</tool_call>!"), Deltas({arguments("}"), content("!")}));
  ChatParser llama(ChatFamily::llama3, false, true);
  EXPECT_EQ(llama.push("{\"name\":\"f\",\"parameters\":{"), Deltas({name("f"), arguments("{")}));
  EXPECT_EQ(llama.push("}}"), Deltas({arguments("}")}));
  EXPECT_EQ(llama.finish(), Deltas());
}

TEST(ChatParser, CallsInJsonOfAnotherShape) {
  const auto in_tags = [](const std::string& call) {
    return "<tool_call>\n" + call + "\n</tool_call>";
  };
  // Another order, arguments as a string or none: held back until they are whole.
  expect(ChatFamily::qwen3, in_tags(R"({"arguments": {"a": 1}, "name": "f"})"),
         {name("f"), arguments(R"({"a":1})")});
  expect(ChatFamily::qwen3, in_tags(R"({"name": "f", "arguments": "{\"a\": 1}"})"),
         {name("f"), arguments(R"({"a": 1})")});
  expect(ChatFamily::qwen3, in_tags(R"({"name": "f", "arguments": null})"),
         {name("f"), arguments("null")});
  expect(ChatFamily::qwen3, in_tags(R"({"name": "f"})"),
         {content(in_tags(R"({"name": "f"})").c_str())});
  expect(ChatFamily::qwen3, in_tags(R"({"name": "f\u0041", "arguments": {}, "id": 1})"),
         {name("fA"), arguments("{}")});
  const std::string deep = in_tags(R"({"name": "f", "id": )" + std::string(99, '[') +
                                   std::string(99, ']') + R"(, "arguments": {}})");
  expect(ChatFamily::qwen3, deep, {content(deep.c_str())});
}

TEST(ChatParser, CallsThatBreakAfterTheirName) {
  const char* cut = R"(<tool_call>{"name": "f", "arguments": {"a": "x)";
  expect(ChatFamily::qwen3, cut, {name("f"), arguments(R"({"a": "x)")});
  expect(ChatFamily::qwen3, std::string(cut) + "</tool_call>b",
         {name("f"), arguments(R"({"a": "x)"), content("b")});
  expect(ChatFamily::qwen3, R"(<tool_call>{"name": "f", "arguments": {}} b</tool_call>c)",
         {name("f"), arguments("{}"), content("} bc")});
  expect(ChatFamily::llama3, R"({"name": "f", "parameters": {}} and so on)",
         {name("f"), arguments("{}"), content("} and so on")});
}

TEST(ChatParser, WithoutToolsThereAreNoCalls) {
  for (const char* text : {"a\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>",
                           "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f"})
    for (const auto family : {ChatFamily::qwen3, ChatFamily::deepseek_v31, ChatFamily::llama3})
      expect(family, text, {content(text)}, {false, false});
}

TEST(ChatParser, HalfACallIsNotLost) {
  expect(ChatFamily::deepseek_v3, "<｜tool▁calls▁begin｜>", {});
  expect(ChatFamily::deepseek_v3, "<｜tool▁calls▁begin｜>so <｜tool▁calls▁end｜>x",
         {content("so x")});
  expect(ChatFamily::deepseek_v3, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>func",
         {content("<｜tool▁call▁begin｜>func")});
  expect(ChatFamily::deepseek_v3,
         "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>nam",
         {content("<｜tool▁call▁begin｜>function<｜tool▁sep｜>nam")});
  expect(ChatFamily::deepseek_v3, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>x<｜tool▁call▁end｜>",
         {content("<｜tool▁call▁begin｜>x<｜tool▁call▁end｜>")});
  expect(ChatFamily::deepseek_v31,
         "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\"",
         {name("f"), arguments("{\"a\"")});
}

// Whatever a model writes: the pieces do not matter, and every letter comes out.
TEST(ChatParser, RandomAnswersInRandomPieces) {
  const std::vector<std::string> words = {"<think>",
                                          "</think>",
                                          "\n",
                                          "a",
                                          "b ",
                                          "<tool_call>",
                                          "</tool_call>",
                                          "<｜tool▁calls▁begin｜>",
                                          "<｜tool▁call▁begin｜>",
                                          "function",
                                          "<｜tool▁sep｜>",
                                          "\n```json\n",
                                          "\n```",
                                          "<｜tool▁call▁end｜>",
                                          "<｜tool▁calls▁end｜>",
                                          "{\"name\": \"c\"",
                                          ", \"arguments\": {",
                                          ", \"parameters\": {",
                                          "<tool_call>{\"name\": \"%\", \"arguments\": {",
                                          "\"",
                                          "\\",
                                          "}",
                                          "%",
                                          "<",
                                          "<|python_tag|>"};
  Random random(3);
  for (int round = 0; round < 6000; ++round) {
    std::string text;
    for (uint64_t n = random.below(16); n > 0; --n) text += words[random.below(words.size())];
    const auto family = static_cast<ChatFamily>(random.below(9));
    const Options options{random.below(2) == 0, random.below(2) == 0};
    const Deltas whole = parse(family, text, options, text.size() + 1);
    EXPECT_EQ(parse(family, text, options, 1 + random.below(5)), whole) << text;
    std::string all;
    for (const ChatDelta& delta : whole) all += delta.text;
    const auto count = [](const std::string& in) { return std::count(in.begin(), in.end(), '%'); };
    EXPECT_EQ(count(all), count(text)) << text;
  }
}

}  // namespace
}  // namespace minke
