#pragma once
// Tool calls that are well-formed whatever the model would write.

#include "api/request.h"
#include "infer/constrained.h"
#include "serve/served_model.h"

namespace minke {

// Whether the request says what calls must look like.
bool constrains_calls(const ChatRequestBody& body);

// For tool_choice required or a function, and for strict tools: the calls in the family's layout,
// with arguments that follow the schemas. Null where the model may write what it likes. ends: what
// ends the answer. format: a grammar of the answer where nothing is called, or ""; calls must be
// well-formed then. Schemas that cannot be followed are ApiErrors.
std::shared_ptr<TokenGrammar> make_tool_grammar(const ChatRequestBody& body, ChatFamily family,
                                                ServedModel& model,
                                                const std::vector<int32_t>& ends,
                                                const std::string& format);

// A layout of tool calls: after `open` ("", or a token) come calls, each a token, a text by a
// grammar, a token, and so on; then an end.
class ToolCallGrammar : public TokenGrammar {
 public:
  // A stretch of text, and the token after it, which is its grammar's end token. Where the text of
  // the part before decides, `by_text` has a grammar for each.
  struct Part {
    std::shared_ptr<CompiledGrammar> text;
    std::map<std::string, std::shared_ptr<CompiledGrammar>> by_text;
    int32_t after;
  };
  struct Layout {
    std::optional<int32_t> open;               // before all calls
    int32_t call;                              // before each call
    std::vector<Part> parts;                   // of a call
    std::shared_ptr<CompiledGrammar> between;  // text between two calls; null: none
    std::optional<int32_t> close;              // after all calls
    std::vector<int32_t> ends;
  };
  // must_call: nothing but calls may come; otherwise anything may, until a call begins.
  ToolCallGrammar(std::shared_ptr<const Layout> layout, bool must_call, bool one_call,
                  int32_t vocab_size);

  const TokenMask& allowed() override;
  void accept(int32_t token) override;

 private:
  enum class State { before, opened, in_call, after_call, between, closed };

  void begin_part(size_t part);
  void set_only(std::initializer_list<std::optional<int32_t>> tokens);

  std::shared_ptr<const Layout> layout_;
  const bool must_call_, one_call_;
  State state_ = State::before;
  size_t part_ = 0;
  std::string written_;                      // of the part
  std::unique_ptr<GrammarConstraint> text_;  // of the part, or between two calls
  TokenMask anything_, mask_;
};

}  // namespace minke
