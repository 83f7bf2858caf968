#pragma once
// What can be said of a grammar's rules without running it. No function recurses: the grammar may
// be as deep as it is long.

#include "infer/grammar.h"

namespace minke {

// Fills `nullable`; a rule that cannot come to an end, or that begins with itself, is a usage
// Error.
void check_grammar(Grammar& grammar, std::string_view where);

// For each rule, whether it can come to itself again.
std::vector<bool> recursive_rules(const Grammar& grammar);

}  // namespace minke
