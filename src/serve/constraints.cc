#include "serve/constraints.h"

#include "api/error.h"
#include "infer/json_schema.h"
#include "serve/chat_answer.h"
#include "serve/tool_grammar.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

// The grammar of the answer proper, after the reasoning.
std::shared_ptr<TokenGrammar> answer_grammar(const ChatRequestBody& body, const PreparedChat& chat,
                                             ServedModel& model, const std::vector<int32_t>& ends) {
  try {
    const bool has_format = body.format.kind != ResponseFormat::Kind::text;
    const std::string format = has_format ? json_schema_grammar(body.format.schema) : "";
    if (chat.has_tools) return make_tool_grammar(body, chat.family, model, ends, format);
    if (!has_format) return nullptr;
    return std::make_shared<GrammarConstraint>(model.grammar(format, "response_format", ends));
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "response_format");
  }
}

}  // namespace

bool has_constraint(const ChatRequestBody& body) {
  return body.thinking_budget || body.format.kind != ResponseFormat::Kind::text ||
         constrains_calls(body);
}

std::shared_ptr<TokenGrammar> make_constraint(const ChatRequestBody& body, const PreparedChat& chat,
                                              ServedModel& model) {
  const Tokenizer& tokenizer = model.tokenizer();
  const std::vector<int32_t> ends = end_tokens(tokenizer, chat.request.stop_tokens);
  std::shared_ptr<TokenGrammar> grammar = answer_grammar(body, chat, model, ends);
  if (!chat.in_reasoning) return grammar;
  const auto think_end = tokenizer.find_special(special::think_end);
  if (!grammar && !body.thinking_budget) return nullptr;
  if (!think_end)
    refuse_value("thinking", "{} is no token of this model: reasoning cannot be bounded",
                 special::think_end);
  if (grammar)
    grammar = std::make_shared<ConstraintAfter>(grammar, *think_end, *model.trie(), ends);
  if (!body.thinking_budget) return grammar;
  return std::make_shared<ReasoningBudget>(*body.thinking_budget, *think_end,
                                           tokenizer.vocab_size(), std::move(grammar));
}

ReasoningBudget::ReasoningBudget(int64_t budget, int32_t end, int32_t vocab_size,
                                 std::shared_ptr<TokenGrammar> inner)
    : left_(budget),
      end_(end),
      inner_(std::move(inner)),
      end_only_((static_cast<size_t>(vocab_size) + 63) / 64),
      anything_(end_only_.size(), ~uint64_t{0}) {
  end_only_[static_cast<size_t>(end) / 64] = uint64_t{1} << (end % 64);
}

const TokenMask& ReasoningBudget::allowed() {
  if (!has_ended_ && left_ <= 0) return end_only_;
  return inner_ ? inner_->allowed() : anything_;
}

void ReasoningBudget::accept(int32_t token) {
  if (token == end_) has_ended_ = true;
  --left_;
  if (inner_) inner_->accept(token);
}

}  // namespace minke
