#pragma once
// The states that a grammar's automaton can be in after some bytes, numbered as they are met, so
// that each step from a state by a byte is computed once.

#include <array>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "infer/grammar_automaton.h"

namespace minke {

// A state is a set of stacks: the position whose bytes may come next, and below it where the rules
// that were called go on. Not thread-safe. The automaton must outlive it.
class GrammarStates {
 public:
  static constexpr int32_t dead = -1;  // nothing may follow
  static constexpr int32_t bottom = -1;
  static constexpr int32_t deepest_stack = 256;  // rules are nested no deeper

  explicit GrammarStates(const GrammarAutomaton& automaton) : automaton_(automaton) {}

  int32_t start() { return closure({{automaton_.start(), bottom}}); }
  // At `position`, in a rule that nothing has called.
  int32_t start_at(int32_t position) { return closure({{position, bottom}}); }
  // Where the rule's end leads that the stack is in: its caller, with all that stands below.
  int32_t after_rule(int32_t stack) { return closure({stacks_[stacks_[stack].below]}); }
  int32_t step(int32_t state, uint8_t byte) {
    const int32_t next = states_[state].next[byte];
    return next == unknown ? compute_step(state, byte) : next;
  }

  // Whether the text may end here.
  bool accepting(int32_t state) const { return states_[state].accepting; }
  std::span<const int32_t> stacks(int32_t state) const { return states_[state].stacks; }
  int32_t position(int32_t stack) const { return stacks_[stack].position; }
  bool has_caller(int32_t stack) const { return stacks_[stack].below != bottom; }
  int32_t depth(int32_t stack) const { return stacks_[stack].depth; }
  // Of the deepest stack that was met on the way into this state.
  int32_t depth_reached(int32_t state) const { return states_[state].depth; }

  // The number here of a state of other tables for the same automaton.
  int32_t copy_of(const GrammarStates& other, int32_t state);
  // Whether so many states are known that new tables had better be begun.
  bool is_full() const;
  // That the tables take, about.
  size_t bytes() const;

 private:
  static constexpr int32_t unknown = -2;
  struct Stack {
    int32_t position, below;  // below: another stack, or bottom
    int32_t depth = 1;
  };
  struct State {
    std::vector<int32_t> stacks;  // sorted
    bool accepting;
    int32_t depth;
    std::array<int32_t, 256> next;
  };

  int32_t compute_step(int32_t state, uint8_t byte);
  int32_t closure(const std::vector<Stack>& from);
  int32_t intern_state(std::vector<int32_t> stacks, bool accepting, int32_t depth);
  int32_t intern_stack(int32_t position, int32_t below);

  const GrammarAutomaton& automaton_;
  std::vector<Stack> stacks_;
  std::unordered_map<uint64_t, int32_t> stack_numbers_;
  std::vector<State> states_;
  std::map<std::pair<bool, std::vector<int32_t>>, int32_t> state_numbers_;
  int64_t entries_ = 0;  // stacks in all states
};

}  // namespace minke
