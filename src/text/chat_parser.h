#pragma once
// The inverse of a chat template: what a model writes, piece by piece, as reasoning, content and
// tool calls. No text is lost: what is not a well-formed call comes out as content. Only tags, and
// the line breaks that templates put beside them, are left out.

#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"

namespace minke {

struct ChatDelta {
  enum class Kind {
    reasoning,
    content,
    tool_name,       // begins call `index`; text is the function's name
    tool_arguments,  // more of that call's arguments, JSON text
  };
  Kind kind;
  std::string text;
  int index = 0;  // of the tool call, from 0

  bool operator==(const ChatDelta&) const = default;
};

// Takes a model's answer without the token that ended it. Not thread-safe.
class ChatParser {
 public:
  // in_reasoning: the prompt ended inside of <think> (ChatPrompt). tools: the prompt offered some;
  // without them JSON that a Llama writes is content.
  ChatParser(ChatFamily family, bool in_reasoning, bool tools);

  // What the next piece of text adds, and what the end adds. A piece may end anywhere, in the
  // middle of a tag too.
  std::vector<ChatDelta> push(std::string_view text);
  std::vector<ChatDelta> finish();

 private:
  // Where in the answer the parser stands.
  enum class State {
    start,            // a <think> may come
    reasoning_start,  // right after it
    reasoning,        //
    after_layout,     // line breaks are skipped
    content,          //
    between_calls,    // DeepSeek: inside of tool_calls
    call_head,        // before the separator: "function", or V3.1's name
    call_name,        // V3: up to the fence of the arguments
    arguments,        //
    json_call,        // Qwen: a whole <tool_call>
    json_answer,      // Llama: an answer that may be a call as a whole
  };
  using Kind = ChatDelta::Kind;

  bool step(bool at_end);
  bool step_start(bool at_end);
  bool step_reasoning(bool at_end);
  bool step_after_layout(bool at_end);
  bool step_content(bool at_end);
  bool step_between_calls(bool at_end);
  bool step_call_head(bool at_end);
  bool step_call_name(bool at_end);
  bool step_arguments(bool at_end);
  bool step_json_call(bool at_end);
  bool step_json_answer(bool at_end);

  // Emits pending text up to the first of the tags, which is taken too; -1 when none is whole yet.
  int take_until(std::span<const std::string_view> tags, Kind kind, bool at_end);
  void emit(Kind kind, std::string_view text);
  bool emit_json_call(std::string_view text, const char* arguments_key);
  void begin_call(std::string_view name);

  ChatFamily family_;
  bool tools_;
  State state_;
  std::string pending_;  // not understood yet
  std::string head_;     // of a call that has no name yet, tags included
  bool between_has_text_ = false;
  int calls_ = 0;
  std::vector<ChatDelta> deltas_;
};

}  // namespace minke
