#pragma once
// For tests: texts that are drawn at random from what a grammar allows.

#include <optional>

#include "base/random.h"
#include "infer/constrained.h"
#include "text/bpe_trainer.h"

namespace minke {

// Tokens of one and more bytes: parts of words, of JSON, of characters.
inline const Tokenizer& test_tokenizer() {
  static const Tokenizer instance = [] {
    BpeTrainer trainer({.vocab_size = 500});
    Random random(4);
    for (int i = 0; i < 300; ++i) {
      trainer.add("{\"name\": \"x\", \"list\": [1, 2, {\"a\": true}], \"né\": null}\n");
      trainer.add("aaa ab (ab) ((a)) äöü 鯨鯨 \"}],\" \"},{\" \xF0\x9F\x90\x8B " +
                  std::to_string(random.below(1000)));
    }
    return Tokenizer(trainer.train());
  }();
  return instance;
}

inline std::shared_ptr<const TokenTrie> test_trie() {
  static const auto instance = std::make_shared<const TokenTrie>(test_tokenizer());
  return instance;
}

inline std::shared_ptr<CompiledGrammar> test_grammar(const std::string& text) {
  return std::make_shared<CompiledGrammar>(Grammar::parse(text, "test"), "test", test_trie(),
                                           end_tokens(test_tokenizer(), {}));
}

inline std::vector<int32_t> tokens_of(const TokenMask& mask) {
  std::vector<int32_t> tokens;
  for (int32_t id = 0; id < test_tokenizer().vocab_size(); ++id)
    if (mask[static_cast<size_t>(id) / 64] >> (id % 64) & 1) tokens.push_back(id);
  return tokens;
}

inline bool allows(const TokenMask& mask, int32_t token) {
  return mask[static_cast<size_t>(token) / 64] >> (token % 64) & 1;
}

// A text of tokens that are drawn from the masks; ends it as soon as it may after `long_enough`.
// Nothing when it has not ended after 2000, or could not go on.
inline std::optional<std::string> random_text(const std::shared_ptr<CompiledGrammar>& grammar,
                                              uint64_t seed, int long_enough = 20) {
  GrammarConstraint constraint(grammar);
  Random random(seed);
  std::string text;
  const int32_t eos = *test_tokenizer().eos_id();
  for (int i = 0; i < 2000; ++i) {
    const TokenMask& mask = constraint.allowed();
    const std::vector<int32_t> tokens = tokens_of(mask);
    if (tokens.empty()) return std::nullopt;
    const bool ends = allows(mask, eos) && (i > long_enough || tokens.size() == 1);
    const int32_t token = ends ? eos : tokens[random.below(tokens.size())];
    constraint.accept(token);
    if (token == eos) return text;
    text += test_tokenizer().token_bytes(token);
  }
  return std::nullopt;
}

// Whether the grammar reads the text, byte by byte.
inline bool reads(const GrammarAutomaton& automaton, const std::string& text) {
  GrammarStates states(automaton);
  int32_t state = states.start();
  for (const char c : text) {
    state = states.step(state, static_cast<uint8_t>(c));
    if (state == GrammarStates::dead) return false;
  }
  return states.accepting(state);
}
inline bool matches(const std::string& grammar, const std::string& text) {
  return reads(GrammarAutomaton(Grammar::parse(grammar, "test"), "test"), text);
}

}  // namespace minke
