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
         {content("Hm."), name("f"), arguments("{\"a\":[1]}"), name("g", 1), arguments("{}", 1)});
  expect(ChatFamily::chatml, "<tool_call>no JSON</tool_call> x",
         {content("<tool_call>no JSON</tool_call> x")});
  expect(ChatFamily::chatml, "a\n<tool_call>", {content("a\n<tool_call>")});
  expect(ChatFamily::chatml, "a\n<tool_call>{\"name\"", {content("a\n<tool_call>{\"name\"")});
}

TEST(ChatParser, ToolCallsOfLlama) {
  const char* call = "{\"name\": \"f\", \"parameters\": {\"a\": 1}}";
  expect(ChatFamily::llama3, call, {name("f"), arguments("{\"a\":1}")});
  expect(ChatFamily::llama3, std::string("<|python_tag|>") + call,
         {name("f"), arguments("{\"a\":1}")});
  expect(ChatFamily::llama3, call, {content(call)}, {false, false});
  expect(ChatFamily::llama3, "{\"name\": 1}", {content("{\"name\": 1}")});
  expect(ChatFamily::llama3, "{not JSON", {content("{not JSON")});
  expect(ChatFamily::llama3, "text {}", {content("text {}")});
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
                                          "<",
                                          "<|python_tag|>"};
  Random random(3);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (uint64_t n = random.below(12); n > 0; --n) text += words[random.below(words.size())];
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
