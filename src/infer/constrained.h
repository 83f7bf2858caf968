#pragma once
// Constrained decoding: which tokens a grammar lets come next.

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "infer/engine.h"
#include "infer/grammar_states.h"
#include "infer/token_trie.h"

namespace minke {

class CompiledGrammar;

// What the tables of several grammars may take together. Where it is more, those that were not used
// for the longest time begin new ones. Thread-safe; but use() only where none of the grammars is
// used at the same time.
class GrammarMemory {
 public:
  static constexpr size_t default_bytes = size_t{64} << 20;

  explicit GrammarMemory(size_t most_bytes = default_bytes) : most_bytes_(most_bytes) {}

  void add(CompiledGrammar* grammar);
  void remove(CompiledGrammar* grammar);
  // The grammar is about to be used, and takes so many bytes.
  void use(CompiledGrammar* grammar, size_t bytes);
  size_t bytes() const;

 private:
  struct Part {
    CompiledGrammar* grammar;
    size_t bytes;
  };
  std::list<Part>::iterator find(const CompiledGrammar* grammar);

  const size_t most_bytes_;
  mutable std::mutex mutex_;
  std::list<Part> parts_;  // last used first
  size_t bytes_ = 0;
};

// A grammar for a vocabulary, with the masks that were computed so far; shared by all texts that
// follow it. Not thread-safe: to be used by the thread that steps the engine.
class CompiledGrammar {
 public:
  // end_tokens: those that end a text; they may come where the grammar can end. memory: shared with
  // the other grammars of the engine.
  CompiledGrammar(const Grammar& grammar, std::string_view where,
                  std::shared_ptr<const TokenTrie> trie, std::vector<int32_t> end_tokens,
                  std::shared_ptr<GrammarMemory> memory = std::make_shared<GrammarMemory>());
  ~CompiledGrammar();
  CompiledGrammar(const CompiledGrammar&) = delete;
  CompiledGrammar& operator=(const CompiledGrammar&) = delete;

  const TokenTrie& trie() const { return *trie_; }
  // The tables in use; tidy() may begin new ones.
  const std::shared_ptr<GrammarStates>& states() { return states_; }
  bool is_end(int32_t token) const;
  std::shared_ptr<const TokenMask> allowed(int32_t state);
  // Before it is used: begins new tables when states or masks have become many.
  void tidy();
  void begin_new_tables();

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
  size_t escape_bytes_ = 0;                                              // of all locals_
  std::vector<int32_t> walk_states_;                                     // by depth
  std::shared_ptr<GrammarMemory> memory_;
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
