#include "infer/grammar_automaton.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "infer/grammar_check.h"
#include "text/utf8.h"

namespace minke {
namespace {

using Kind = GrammarNode::Kind;

constexpr int64_t most_positions = 400000, unknown = -1;
constexpr int64_t most_in_place = 256;  // positions of a rule that is written where it is named

// The bytes of characters whose UTF-8 has one length and differs in a block: one set for each byte.
struct ByteSequence {
  std::array<ByteSet, 4> sets;
  size_t length;
};

ByteSet bytes_between(uint8_t first, uint8_t last) {
  ByteSet set;
  for (int byte = first; byte <= last; ++byte) set.set(static_cast<size_t>(byte));
  return set;
}

// Cuts a range whose characters have UTF-8 of one length into blocks of full continuation bytes.
void add_sequences(char32_t first, char32_t last, size_t length,
                   std::vector<ByteSequence>& sequences) {
  for (size_t tail = length - 1; tail >= 1; --tail) {
    const char32_t block = (char32_t{1} << (6 * tail)) - 1;  // 6 bits in each continuation byte
    if ((first & ~block) == (last & ~block)) continue;
    if (first & block) {
      add_sequences(first, first | block, length, sequences);
      return add_sequences((first | block) + 1, last, length, sequences);
    }
    if ((last & block) != block) {
      add_sequences(first, (last & ~block) - 1, length, sequences);
      return add_sequences(last & ~block, last, length, sequences);
    }
  }
  std::string low, high;
  append_utf8(low, first);
  append_utf8(high, last);
  ByteSequence& sequence = sequences.emplace_back();
  sequence.length = length;
  for (size_t i = 0; i < length; ++i)
    sequence.sets[i] = bytes_between(static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i]));
}

std::vector<ByteSequence> byte_sequences(const std::vector<CharacterRange>& ranges) {
  constexpr std::array<char32_t, 4> last_of_length = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
  std::vector<ByteSequence> sequences;
  ByteSequence ascii{{}, 1};
  for (CharacterRange range : ranges)
    for (size_t length = 1; length <= 4 && range.first <= range.last; ++length) {
      const char32_t last = std::min(range.last, last_of_length[length - 1]);
      if (range.first > last) continue;
      if (length == 1)
        ascii.sets[0] |=
            bytes_between(static_cast<uint8_t>(range.first), static_cast<uint8_t>(last));
      else
        add_sequences(range.first, last, length, sequences);
      range.first = last + 1;
    }
  if (ascii.sets[0].any()) sequences.push_back(ascii);
  return sequences;
}

}  // namespace

GrammarAutomaton::GrammarAutomaton(const Grammar& grammar, std::string_view where)
    : starts_(grammar.bodies.size(), -1),
      root_(grammar.root),
      recursive_(recursive_rules(grammar)) {
  measure(grammar, where);
  const int32_t end = add({.kind = Position::Kind::end});
  for (size_t rule = 0; rule < grammar.bodies.size(); ++rule)
    if (static_cast<int32_t>(rule) == root_ || !is_in_place(static_cast<int32_t>(rule)))
      starts_[rule] = compile(grammar, grammar.bodies[rule], end);
}

// Positions that each node and rule will need, before any is made.
void GrammarAutomaton::measure(const Grammar& grammar, std::string_view where) {
  node_sizes_.assign(grammar.nodes.size(), unknown);
  rule_sizes_.assign(grammar.bodies.size(), unknown);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < grammar.nodes.size(); ++i)
      if (node_sizes_[i] == unknown)
        node_sizes_[i] = std::min(size_of(grammar.nodes[i]), most_positions + 1);
    for (size_t rule = 0; rule < rule_sizes_.size(); ++rule) {
      if (rule_sizes_[rule] != unknown) continue;
      rule_sizes_[rule] = node_sizes_[grammar.bodies[rule]];
      changed |= rule_sizes_[rule] != unknown;
    }
  }
  int64_t total = 0;
  for (size_t rule = 0; rule < rule_sizes_.size(); ++rule)
    if (static_cast<int32_t>(rule) == root_ || !is_in_place(static_cast<int32_t>(rule)))
      total += rule_sizes_[rule];
  if (total > most_positions)
    fail_usage("{}: the grammar is too large (repetitions are written out); fewer or shorter ones",
               where);
}

int64_t GrammarAutomaton::size_of(const GrammarNode& node) const {
  if (node.kind == Kind::text) return static_cast<int64_t>(node.text.size());
  if (node.kind == Kind::characters) {
    int64_t size = 0;
    for (const ByteSequence& sequence : byte_sequences(node.ranges))
      size += static_cast<int64_t>(sequence.length) + 1;
    return size;
  }
  if (node.kind == Kind::rule) {
    if (recursive_[node.rule]) return 1;
    const int64_t size = rule_sizes_[node.rule];
    return size == unknown ? unknown : size > most_in_place ? 1 : size + 1;
  }
  int64_t size = 1;
  for (const int32_t child : node.children) {
    if (node_sizes_[child] == unknown) return unknown;
    size += node_sizes_[child] + 1;
  }
  if (node.kind == Kind::repeat) size *= node.max < 0 ? node.min + 1 : node.max + 1;
  return size;
}

// Whether a rule is written where it is named.
bool GrammarAutomaton::is_in_place(int32_t rule) const {
  return !recursive_[rule] && rule_sizes_[rule] <= most_in_place;
}

int32_t GrammarAutomaton::add(Position position) {
  positions_.push_back(position);
  return size() - 1;
}

// The first position of `node` when `next` comes after it. Depth: of groups in one rule, and of
// small rules in place.
int32_t GrammarAutomaton::compile(const Grammar& grammar, int32_t node, int32_t next) {
  const GrammarNode& it = grammar.nodes[node];
  switch (it.kind) {
    case Kind::text:
      for (size_t i = it.text.size(); i-- > 0;) {
        const uint8_t byte = static_cast<uint8_t>(it.text[i]);
        next = add({Position::Kind::bytes, next, -1, bytes_between(byte, byte)});
      }
      return next;
    case Kind::characters:
      return compile_characters(it.ranges, next);
    case Kind::sequence:
      for (size_t i = it.children.size(); i-- > 0;) next = compile(grammar, it.children[i], next);
      return next;
    case Kind::choice: {
      int32_t first = compile(grammar, it.children.back(), next);
      for (size_t i = it.children.size() - 1; i-- > 0;)
        first = add({Position::Kind::split, compile(grammar, it.children[i], next), first});
      return first;
    }
    case Kind::repeat:
      return compile_repeat(grammar, it, next);
    case Kind::rule:
      if (!is_in_place(it.rule)) return add({Position::Kind::call, next, it.rule});
      return compile(grammar, grammar.bodies[it.rule], next);
  }
  require(false, "a grammar's node of no kind");
  return -1;
}

int32_t GrammarAutomaton::compile_characters(const std::vector<CharacterRange>& ranges,
                                             int32_t next) {
  int32_t first = -1;
  for (const ByteSequence& sequence : byte_sequences(ranges)) {
    int32_t entry = next;
    for (size_t i = sequence.length; i-- > 0;)
      entry = add({Position::Kind::bytes, entry, -1, sequence.sets[i]});
    first = first < 0 ? entry : add({Position::Kind::split, entry, first});
  }
  return first;
}

int32_t GrammarAutomaton::compile_repeat(const Grammar& grammar, const GrammarNode& node,
                                         int32_t next) {
  const int32_t child = node.children[0];
  int32_t first = next;
  if (node.max < 0) {
    first = add({Position::Kind::split, -1, next});
    const int32_t body = compile(grammar, child, first);
    positions_[first].next = body;
  }
  for (int64_t i = node.min; i < node.max; ++i)
    first = add({Position::Kind::split, compile(grammar, child, first), next});
  for (int64_t i = 0; i < node.min; ++i) first = compile(grammar, child, first);
  return first;
}

}  // namespace minke
