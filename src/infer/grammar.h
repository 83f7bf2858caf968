#pragma once
// Grammars for constrained decoding, in a notation like that of llama.cpp's GBNF (its
// grammars/README.md describes that one; docs/grammar.md describes this one).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace minke {

// Characters from first to last, as code points.
struct CharacterRange {
  char32_t first, last;
};

// Sorts ranges and joins those that touch.
std::vector<CharacterRange> joined(std::vector<CharacterRange> ranges);
// Every character that is in none of the ranges; surrogates are no characters.
std::vector<CharacterRange> complement(const std::vector<CharacterRange>& ranges);

// A part of a rule. Children stand before their parents in Grammar::nodes.
struct GrammarNode {
  enum class Kind { text, characters, sequence, choice, repeat, rule };
  Kind kind;
  std::string text = {};                    // text: UTF-8
  std::vector<CharacterRange> ranges = {};  // characters: one of these; sorted, apart
  std::vector<int32_t> children = {};       // sequence, choice: any number; repeat: one
  int64_t min = 0, max = 0;                 // repeat; max -1: any number of times
  int32_t rule = -1;                        // rule: its index
};

// A checked grammar: every rule that is named exists, can come to an end, and does not begin with
// itself. Immutable.
struct Grammar {
  // Throws a usage Error "WHERE:LINE:COLUMN: what is wrong".
  static Grammar parse(std::string_view text, std::string_view where);

  std::vector<GrammarNode> nodes;
  std::vector<int32_t> bodies;  // of each rule, a node
  std::vector<std::string> names;
  int32_t root = 0;            // the rule of that name
  std::vector<bool> nullable;  // of each node: it can be empty
};

}  // namespace minke
