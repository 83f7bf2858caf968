#include "infer/grammar_states.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"

namespace minke {
namespace {

constexpr size_t most_stacks = 4096;  // of one state
constexpr size_t many_states = 16384, most_states = 262144;
constexpr int64_t many_entries = 1 << 20, most_entries = 1 << 24;

}  // namespace

bool GrammarStates::is_full() const {
  return states_.size() > many_states || entries_ > many_entries || stacks_.size() > many_entries;
}

size_t GrammarStates::bytes() const {
  constexpr size_t map_node = 64;
  const size_t entries = 2 * static_cast<size_t>(entries_) * sizeof(int32_t);  // also the map's
  return states_.size() * (sizeof(State) + map_node) + entries +
         stacks_.size() * (sizeof(Stack) + map_node);
}

int32_t GrammarStates::copy_of(const GrammarStates& other, int32_t state) {
  std::vector<int32_t> copies;
  for (int32_t stack : other.stacks(state)) {
    std::vector<int32_t> positions;  // from the top down
    for (; stack != bottom; stack = other.stacks_[stack].below)
      positions.push_back(other.position(stack));
    int32_t copy = bottom;
    for (size_t i = positions.size(); i-- > 0;) copy = intern_stack(positions[i], copy);
    copies.push_back(copy);
  }
  return intern_state(std::move(copies), other.accepting(state), other.depth_reached(state));
}

int32_t GrammarStates::intern_stack(int32_t position, int32_t below) {
  const uint64_t key =
      static_cast<uint64_t>(static_cast<uint32_t>(position)) << 32 | static_cast<uint32_t>(below);
  const auto [found, is_new] =
      stack_numbers_.try_emplace(key, static_cast<int32_t>(stacks_.size()));
  if (is_new) stacks_.push_back({position, below, below == bottom ? 1 : stacks_[below].depth + 1});
  return found->second;
}

int32_t GrammarStates::compute_step(int32_t state, uint8_t byte) {
  std::vector<Stack> next;
  for (const int32_t number : states_[state].stacks) {
    const Stack stack = stacks_[number];
    const auto& position = automaton_[stack.position];
    if (position.bytes[byte]) next.push_back({position.next, stack.below});
  }
  const int32_t result = next.empty() ? dead : closure(next);
  states_[state].next[byte] = result;
  return result;
}

// The state of all stacks that can be had without a byte. Stacks deeper than the limit are left
// out.
int32_t GrammarStates::closure(const std::vector<Stack>& from) {
  using Kind = GrammarAutomaton::Position::Kind;
  std::vector<int32_t> open, found;
  std::unordered_set<int32_t> seen;
  bool accepting = false;
  int32_t depth = 0;
  const auto reach = [&](int32_t position, int32_t below) {
    const int32_t stack = intern_stack(position, below);
    depth = std::max(depth, stacks_[stack].depth);
    if (stacks_[stack].depth <= deepest_stack && seen.insert(stack).second) open.push_back(stack);
  };
  for (const Stack& stack : from) reach(stack.position, stack.below);
  while (!open.empty()) {
    const int32_t number = open.back();
    open.pop_back();
    if (seen.size() > most_stacks)
      fail("the grammar is too ambiguous: more than {} ways to read the text so far", most_stacks);
    const Stack stack = stacks_[number];
    const auto& position = automaton_[stack.position];
    if (position.kind == Kind::bytes) {
      found.push_back(number);
    } else if (position.kind == Kind::split) {
      reach(position.next, stack.below);
      reach(position.other, stack.below);
    } else if (position.kind == Kind::call) {
      // A call at a rule's end returns to where that rule returns.
      const bool is_last = automaton_[position.next].kind == Kind::end;
      reach(automaton_.start_of(position.other),
            is_last ? stack.below : intern_stack(position.next, stack.below));
    } else if (stack.below == bottom) {
      accepting = true;
    } else {
      reach(stacks_[stack.below].position, stacks_[stack.below].below);
    }
  }
  if (found.empty() && !accepting) return dead;
  return intern_state(std::move(found), accepting, depth);
}

int32_t GrammarStates::intern_state(std::vector<int32_t> stacks, bool accepting, int32_t depth) {
  std::sort(stacks.begin(), stacks.end());
  const auto [known, is_new] = state_numbers_.try_emplace(std::pair(accepting, std::move(stacks)),
                                                          static_cast<int32_t>(states_.size()));
  if (is_new) {
    entries_ += static_cast<int64_t>(known->first.second.size());
    if (entries_ > most_entries || states_.size() > most_states)
      fail("the grammar is too ambiguous: too many ways to go on with the text so far");
    State& state = states_.emplace_back(State{known->first.second, accepting, depth, {}});
    state.next.fill(unknown);
  }
  return known->second;
}

}  // namespace minke
