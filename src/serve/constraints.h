#pragma once
// What a chat request lets the model write: schemas, tool calls, a budget of reasoning.

#include "api/request.h"
#include "infer/constrained.h"
#include "serve/served_model.h"

namespace minke {

struct PreparedChat;

// Whether make_constraint() gives more than null for a model that reasons: then it must be known
// where the reasoning ends.
bool has_constraint(const ChatRequestBody& body);
// Null: anything. Schemas that cannot be followed are ApiErrors.
std::shared_ptr<TokenGrammar> make_constraint(const ChatRequestBody& body, const PreparedChat& chat,
                                              ServedModel& model);

// Ends reasoning after so many tokens: then nothing but `end` may come. Afterwards `inner`, if
// there is one, decides; it is told every token.
class ReasoningBudget : public TokenGrammar {
 public:
  ReasoningBudget(int64_t budget, int32_t end, int32_t vocab_size,
                  std::shared_ptr<TokenGrammar> inner);

  const TokenMask& allowed() override;
  void accept(int32_t token) override;

 private:
  int64_t left_;
  const int32_t end_;
  bool has_ended_ = false;
  std::shared_ptr<TokenGrammar> inner_;
  TokenMask end_only_, anything_;
};

}  // namespace minke
