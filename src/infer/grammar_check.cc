#include "infer/grammar_check.h"

#include <algorithm>
#include <functional>

#include "base/error.h"

namespace minke {
namespace {

using Kind = GrammarNode::Kind;
using Edges = std::vector<std::vector<int32_t>>;  // of each rule, other rules

// A property of nodes that follows from their children and from the rules' bodies, from false up.
std::vector<bool> fixed_point(
    const Grammar& grammar,
    const std::function<bool(const GrammarNode& node, const std::vector<bool>& of)>& holds) {
  std::vector<bool> of(grammar.nodes.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < of.size(); ++i) {
      if (of[i] || !holds(grammar.nodes[i], of)) continue;
      of[i] = changed = true;
    }
  }
  return of;
}

bool combined(const Grammar& grammar, const GrammarNode& node, const std::vector<bool>& of) {
  const auto holds = [&](int32_t child) { return of[child]; };
  if (node.kind == Kind::sequence) return std::ranges::all_of(node.children, holds);
  if (node.kind == Kind::rule) return of[grammar.bodies[node.rule]];
  return std::ranges::any_of(node.children, holds);  // choice
}

std::vector<bool> nullable_nodes(const Grammar& grammar) {
  return fixed_point(grammar, [&](const GrammarNode& node, const std::vector<bool>& of) {
    if (node.kind == Kind::text || node.kind == Kind::characters) return false;
    if (node.kind == Kind::repeat) return node.min == 0 || of[node.children[0]];
    return combined(grammar, node, of);
  });
}

std::vector<bool> nodes_that_end(const Grammar& grammar) {
  return fixed_point(grammar, [&](const GrammarNode& node, const std::vector<bool>& of) {
    if (node.kind == Kind::text || node.kind == Kind::characters) return true;
    if (node.kind == Kind::repeat) return node.min == 0 || of[node.children[0]];
    return combined(grammar, node, of);
  });
}

// The rules that a rule names; with at_begin, only those that nothing need precede.
Edges edges(const Grammar& grammar, bool at_begin) {
  Edges result(grammar.bodies.size());
  for (size_t rule = 0; rule < result.size(); ++rule) {
    std::vector<int32_t> open = {grammar.bodies[rule]};
    while (!open.empty()) {
      const GrammarNode& node = grammar.nodes[open.back()];
      open.pop_back();
      if (node.kind == Kind::rule) result[rule].push_back(node.rule);
      if (node.kind == Kind::repeat && node.max == 0) continue;
      for (const int32_t child : node.children) {
        open.push_back(child);
        if (at_begin && node.kind == Kind::sequence && !grammar.nullable[child]) break;
      }
    }
    std::ranges::sort(result[rule]);
    result[rule].erase(std::unique(result[rule].begin(), result[rule].end()), result[rule].end());
  }
  return result;
}

bool reaches_itself(const Edges& edges, int32_t rule) {
  std::vector<bool> seen(edges.size());
  std::vector<int32_t> open = edges[rule];
  while (!open.empty()) {
    const int32_t next = open.back();
    open.pop_back();
    if (next == rule) return true;
    if (seen[next]) continue;
    seen[next] = true;
    open.insert(open.end(), edges[next].begin(), edges[next].end());
  }
  return false;
}

}  // namespace

void check_grammar(Grammar& grammar, std::string_view where) {
  const std::vector<bool> ends = nodes_that_end(grammar);
  for (size_t rule = 0; rule < grammar.bodies.size(); ++rule)
    if (!ends[grammar.bodies[rule]])
      fail_usage("{}: the rule '{}' never comes to an end: each of its alternatives needs itself",
                 where, grammar.names[rule]);
  grammar.nullable = nullable_nodes(grammar);
  const Edges first = edges(grammar, true);
  for (size_t rule = 0; rule < grammar.bodies.size(); ++rule)
    if (reaches_itself(first, static_cast<int32_t>(rule)))
      fail_usage("{}: the rule '{}' begins with itself (left recursion); write it as a repetition",
                 where, grammar.names[rule]);
}

std::vector<bool> recursive_rules(const Grammar& grammar) {
  const Edges all = edges(grammar, false);
  std::vector<bool> result(grammar.bodies.size());
  for (size_t rule = 0; rule < result.size(); ++rule)
    result[rule] = reaches_itself(all, static_cast<int32_t>(rule));
  return result;
}

}  // namespace minke
