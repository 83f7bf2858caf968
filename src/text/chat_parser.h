#pragma once
// The inverse of a chat template: what a model writes, piece by piece, as reasoning, content and
// tool calls. No text is lost: what is not a well-formed call comes out as content. Only tags, and
// the line breaks that templates put beside them, are left out.
//
// Calls that are JSON (Qwen, Llama) come out as soon as they are sure to be calls: when the name
// and then the arguments' opening brace have come, as the layouts ask for. From there on the
// arguments' text is handed out as it is written, so it may be no JSON when the model breaks off or
// goes wrong; what follows the arguments and does not close the call is content. A call in another
// order is held back until it is whole, and is content where it is no call.

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
  // without them there are no calls, and what looks like one is content.
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
    json_head,        // Qwen and Llama: up to the opening brace of the arguments
    json_arguments,   //
    json_tail,        // what closes the call
    json_whole,       // a call in another order, or none
  };
  // Follows the text of a JSON object to its end; counts brackets and does not match them.
  struct ObjectScan {
    int64_t depth = 0;
    bool in_string = false, is_escaped = false;
    // Bytes of the next piece of text that belong to the object.
    size_t take(std::string_view text);
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
  bool step_json_head(bool at_end);
  bool step_json_arguments(bool at_end);
  bool step_json_tail(bool at_end);
  bool step_json_whole(bool at_end);

  // Emits pending text up to the first of the tags, which is taken too; -1 when none is whole yet.
  int take_until(std::span<const std::string_view> tags, Kind kind, bool at_end);
  void emit(Kind kind, std::string_view text);
  void begin_json_call(std::string_view head, std::string_view end);
  std::string_view arguments_key() const;
  bool emit_json_call(std::string_view text);
  void begin_call(std::string_view name);

  ChatFamily family_;
  bool tools_;
  State state_;
  std::string pending_;  // not understood yet
  std::string head_;     // of a call that has no name yet, tags included
  // The tag that ends a JSON call; "": the call is the whole answer, Llama's.
  std::string_view call_end_;
  ObjectScan object_;
  bool between_has_text_ = false;
  int calls_ = 0;
  std::vector<ChatDelta> deltas_;
};

}  // namespace minke
