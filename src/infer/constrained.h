#pragma once
// Constrained decoding: which tokens a grammar lets come next.

#include <memory>
#include <optional>
#include <string>

#include "infer/engine.h"
#include "infer/grammar_states.h"
#include "infer/token_trie.h"

namespace minke {

// A grammar for a vocabulary, with the masks that were computed so far; shared by all texts that
// follow it. Not thread-safe: to be used by the thread that steps the engine.
class CompiledGrammar {
 public:
  // end_tokens: those that end a text; they may come where the grammar can end.
  CompiledGrammar(const Grammar& grammar, std::string_view where,
                  std::shared_ptr<const TokenTrie> trie, std::vector<int32_t> end_tokens);
  CompiledGrammar(const CompiledGrammar&) = delete;
  CompiledGrammar& operator=(const CompiledGrammar&) = delete;

  const TokenTrie& trie() const { return *trie_; }
  // The tables in use; tidy() may begin new ones.
  const std::shared_ptr<GrammarStates>& states() { return states_; }
  bool is_end(int32_t token) const;
  std::shared_ptr<const TokenMask> allowed(int32_t state);
  // Begins new tables when states or masks have become many.
  void tidy();

 private:
  // What may come at a position whatever stands below it on the stack, and the nodes of the trie at
  // whose byte the position's rule can end, so that the rest depends on the caller.
  struct Local {
    TokenMask tokens;
    std::vector<int32_t> escapes;
    int32_t depth = 0;  // that a token can add to the stack
  };

  const Local& local(int32_t position);
  void allow_from(int32_t stack, TokenMask& mask);
  template <typename Visit>
  void walk(int32_t node, int32_t state, const Visit& visit);
  void allow(TokenMask& mask, int32_t node) const;

  GrammarAutomaton automaton_;
  std::shared_ptr<GrammarStates> states_;
  std::shared_ptr<const TokenTrie> trie_;
  std::vector<int32_t> end_tokens_;
  std::unordered_map<int32_t, Local> locals_;                            // by position
  std::unordered_map<int32_t, std::shared_ptr<const TokenMask>> masks_;  // by state
  std::vector<int32_t> walk_states_;                                     // by depth
};

// The way of one text through a grammar.
class GrammarConstraint : public TokenGrammar {
 public:
  explicit GrammarConstraint(std::shared_ptr<CompiledGrammar> grammar)
      : grammar_(std::move(grammar)) {}

  const TokenMask& allowed() override;
  // A token that is not allowed is an Error.
  void accept(int32_t token) override;

 private:
  void find_state();

  std::shared_ptr<CompiledGrammar> grammar_;
  std::shared_ptr<GrammarStates> states_;  // the tables of state_; null at the beginning
  int32_t state_ = 0;
  std::shared_ptr<const TokenMask> mask_;
};

// A grammar for the answer of a model that reasons first: until `token` (</think>) came, every
// token may come but those that end the text. Right after it, line breaks may come too.
class ConstraintAfter : public TokenGrammar {
 public:
  ConstraintAfter(std::shared_ptr<TokenGrammar> grammar, int32_t token, const TokenTrie& trie,
                  const std::vector<int32_t>& end_tokens);

  const TokenMask& allowed() override;
  void accept(int32_t token) override;

 private:
  enum class State { before, line_breaks, after };

  std::shared_ptr<TokenGrammar> grammar_;
  int32_t token_;
  State state_ = State::before;
  TokenMask anything_, line_breaks_, mask_;
};

// The tokens that end an answer: the tokenizer's EOS and those of a chat template.
std::vector<int32_t> end_tokens(const Tokenizer& tokenizer, std::span<const int32_t> more);

}  // namespace minke
