#pragma once
// A grammar as an automaton over bytes that calls rules and returns from them: the characters of
// the grammar are spelled as UTF-8, so that no other bytes can come.

#include <bitset>
#include <cstdint>
#include <vector>

#include "infer/grammar.h"

namespace minke {

using ByteSet = std::bitset<256>;

// Immutable and thread-safe.
class GrammarAutomaton {
 public:
  struct Position {
    enum class Kind : uint8_t {
      bytes,  // one of `bytes`, then `next`
      split,  // `next` or `other`
      call,   // the rule `other`, then `next`
      end,    // of the rule
    };
    Kind kind;
    int32_t next = -1, other = -1;
    ByteSet bytes = {};
  };

  // A grammar that needs more than 400,000 positions is a usage Error; small rules that do not
  // call themselves are written in place.
  GrammarAutomaton(const Grammar& grammar, std::string_view where);

  const Position& operator[](int32_t position) const { return positions_[position]; }
  int32_t size() const { return static_cast<int32_t>(positions_.size()); }
  int32_t start() const { return starts_[root_]; }
  int32_t start_of(int32_t rule) const { return starts_[rule]; }

 private:
  void measure(const Grammar& grammar, std::string_view where);
  int64_t size_of(const GrammarNode& node) const;
  bool is_in_place(int32_t rule) const;
  int32_t add(Position position);
  int32_t compile(const Grammar& grammar, int32_t node, int32_t next);
  int32_t compile_characters(const std::vector<CharacterRange>& ranges, int32_t next);
  int32_t compile_repeat(const Grammar& grammar, const GrammarNode& node, int32_t next);

  std::vector<Position> positions_;
  std::vector<int32_t> starts_;  // of each rule
  int32_t root_;
  std::vector<int64_t> node_sizes_, rule_sizes_;  // in positions, while compiling
  std::vector<bool> recursive_;
};

}  // namespace minke
