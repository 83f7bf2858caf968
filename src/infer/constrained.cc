#include "infer/constrained.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace minke {
namespace {

TokenMask empty_mask(const TokenTrie& trie) {
  return TokenMask((static_cast<size_t>(trie.vocab_size()) + 63) / 64);
}

void set(TokenMask& mask, int32_t token) {
  const auto bit = static_cast<size_t>(token);
  mask[bit / 64] |= uint64_t{1} << (bit % 64);
}

bool has(const TokenMask& mask, int32_t token) {
  const auto bit = static_cast<size_t>(token);
  return bit / 64 < mask.size() && (mask[bit / 64] >> (bit % 64) & 1);
}

void add(TokenMask& mask, const TokenMask& other) {
  for (size_t i = 0; i < mask.size(); ++i) mask[i] |= other[i];
}

}  // namespace

void GrammarMemory::add(CompiledGrammar* grammar) {
  const std::lock_guard lock(mutex_);
  parts_.push_front({grammar, 0});
}

void GrammarMemory::remove(CompiledGrammar* grammar) {
  const std::lock_guard lock(mutex_);
  const auto part = find(grammar);
  bytes_ -= part->bytes;
  parts_.erase(part);
}

void GrammarMemory::use(CompiledGrammar* grammar, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto part = find(grammar);
  bytes_ += bytes - part->bytes;
  part->bytes = bytes;
  parts_.splice(parts_.begin(), parts_, part);
  for (auto oldest = parts_.rbegin(); bytes_ > most_bytes_ && oldest != parts_.rend(); ++oldest) {
    oldest->grammar->begin_new_tables();
    bytes_ -= std::exchange(oldest->bytes, 0);
  }
}

size_t GrammarMemory::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::list<GrammarMemory::Part>::iterator GrammarMemory::find(const CompiledGrammar* grammar) {
  return std::find_if(parts_.begin(), parts_.end(),
                      [&](const Part& part) { return part.grammar == grammar; });
}

CompiledGrammar::CompiledGrammar(const Grammar& grammar, std::string_view where,
                                 std::shared_ptr<const TokenTrie> trie,
                                 std::vector<int32_t> end_tokens,
                                 std::shared_ptr<GrammarMemory> memory)
    : automaton_(grammar, where),
      states_(std::make_shared<GrammarStates>(automaton_)),
      trie_(std::move(trie)),
      end_tokens_(std::move(end_tokens)),
      memory_(std::move(memory)) {
  std::erase_if(end_tokens_, [&](int32_t id) { return id < 0 || id >= trie_->vocab_size(); });
  memory_->add(this);
}

CompiledGrammar::~CompiledGrammar() { memory_->remove(this); }

bool CompiledGrammar::is_end(int32_t token) const {
  return std::count(end_tokens_.begin(), end_tokens_.end(), token) > 0;
}

void CompiledGrammar::tidy() {
  if (states_->is_full()) begin_new_tables();
  const size_t masks = (masks_.size() + locals_.size()) *
                       (static_cast<size_t>(trie_->vocab_size()) / 8 + sizeof(Local));
  memory_->use(this, states_->bytes() + masks + escape_bytes_);
}

void CompiledGrammar::begin_new_tables() {
  states_ = std::make_shared<GrammarStates>(automaton_);
  masks_.clear();
  locals_.clear();
  escape_bytes_ = 0;
}

void CompiledGrammar::allow(TokenMask& mask, int32_t node) const {
  const auto& nodes = trie_->nodes();
  for (int32_t i = nodes[node].first_token; i < nodes[node + 1].first_token; ++i)
    set(mask, trie_->tokens()[i]);
}

// Visits the nodes below `node`, where the text is in `state`, that the grammar can read.
template <typename Visit>
void CompiledGrammar::walk(int32_t node, int32_t state, const Visit& visit) {
  const auto& nodes = trie_->nodes();
  const size_t base = nodes[node].depth;
  walk_states_.resize(std::max(walk_states_.size(), base + 1));
  walk_states_[base] = state;
  for (int32_t i = node + 1; i < nodes[node].end;) {
    const size_t depth = nodes[i].depth;
    const int32_t next = states_->step(walk_states_[depth - 1], nodes[i].byte);
    if (next == GrammarStates::dead) {
      i = nodes[i].end;
      continue;
    }
    if (walk_states_.size() <= depth) walk_states_.resize(depth + 1);
    walk_states_[depth] = next;
    visit(i, next);
    ++i;
  }
}

const CompiledGrammar::Local& CompiledGrammar::local(int32_t position) {
  const auto found = locals_.find(position);
  if (found != locals_.end()) return found->second;
  Local local{empty_mask(*trie_), {}, 0};
  walk(0, states_->start_at(position), [&](int32_t node, int32_t state) {
    allow(local.tokens, node);
    if (states_->accepting(state)) local.escapes.push_back(node);
    local.depth = std::max(local.depth, states_->depth_reached(state));
  });
  escape_bytes_ += local.escapes.capacity() * sizeof(int32_t);
  return locals_.emplace(position, std::move(local)).first->second;
}

void CompiledGrammar::allow_from(int32_t stack, TokenMask& mask) {
  const Local& here = local(states_->position(stack));
  add(mask, here.tokens);
  if (!states_->has_caller(stack) || here.escapes.empty()) return;
  const int32_t caller = states_->after_rule(stack);
  if (caller == GrammarStates::dead) return;
  for (const int32_t node : here.escapes)
    walk(node, caller, [&](int32_t below, int32_t) { allow(mask, below); });
}

std::shared_ptr<const TokenMask> CompiledGrammar::allowed(int32_t state) {
  const auto found = masks_.find(state);
  if (found != masks_.end()) return found->second;
  TokenMask mask = empty_mask(*trie_);
  const std::vector<int32_t> stacks(states_->stacks(state).begin(), states_->stacks(state).end());
  const bool is_deep = std::ranges::any_of(stacks, [&](int32_t stack) {
    const int32_t more = local(states_->position(stack)).depth;
    return states_->depth(stack) + more > GrammarStates::deepest_stack;
  });
  if (is_deep)
    walk(0, state, [&](int32_t node, int32_t) { allow(mask, node); });
  else
    for (const int32_t stack : stacks) allow_from(stack, mask);
  if (states_->accepting(state))
    for (const int32_t token : end_tokens_) set(mask, token);
  return masks_.emplace(state, std::make_shared<const TokenMask>(std::move(mask))).first->second;
}

// The grammar may have begun new tables since.
void GrammarConstraint::find_state() {
  grammar_->tidy();
  const auto& current = grammar_->states();
  if (states_ == current) return;
  state_ = states_ ? current->copy_of(*states_, state_) : current->start();
  if (state_ == GrammarStates::dead) fail("the grammar's rules are nested too deeply");
  states_ = current;
}

const TokenMask& GrammarConstraint::allowed() {
  find_state();
  mask_ = grammar_->allowed(state_);
  return *mask_;
}

void GrammarConstraint::accept(int32_t token) {
  find_state();
  if (grammar_->is_end(token)) {
    if (!states_->accepting(state_)) fail("token {} ends the text where the grammar cannot", token);
    return;
  }
  const bool is_text = token >= 0 && token < grammar_->trie().vocab_size();
  const std::string_view bytes = is_text ? grammar_->trie().token_bytes(token) : "";
  int32_t state = bytes.empty() ? GrammarStates::dead : state_;
  for (size_t i = 0; i < bytes.size() && state != GrammarStates::dead; ++i)
    state = states_->step(state, static_cast<uint8_t>(bytes[i]));
  if (state == GrammarStates::dead) fail("token {} is none that the grammar allows here", token);
  state_ = state;
}

ConstraintAfter::ConstraintAfter(std::shared_ptr<TokenGrammar> grammar, int32_t token,
                                 const TokenTrie& trie, const std::vector<int32_t>& end_tokens)
    : grammar_(std::move(grammar)),
      token_(token),
      anything_(empty_mask(trie)),
      line_breaks_(empty_mask(trie)) {
  for (int32_t id = 0; id < trie.vocab_size(); ++id) {
    const std::string_view bytes = trie.token_bytes(id);
    if (std::count(end_tokens.begin(), end_tokens.end(), id) == 0) set(anything_, id);
    if (!bytes.empty() && bytes.find_first_not_of('\n') == std::string_view::npos)
      set(line_breaks_, id);
  }
}

const TokenMask& ConstraintAfter::allowed() {
  if (state_ == State::before) return anything_;
  if (state_ == State::after) return grammar_->allowed();
  mask_ = grammar_->allowed();
  add(mask_, line_breaks_);
  return mask_;
}

void ConstraintAfter::accept(int32_t token) {
  if (state_ == State::before) {
    if (token == token_) state_ = State::line_breaks;
    return;
  }
  const bool is_break = state_ == State::line_breaks && has(line_breaks_, token);
  state_ = State::after;
  if (!is_break) grammar_->accept(token);
}

std::vector<int32_t> end_tokens(const Tokenizer& tokenizer, std::span<const int32_t> more) {
  std::vector<int32_t> tokens(more.begin(), more.end());
  if (tokenizer.eos_id()) tokens.push_back(*tokenizer.eos_id());
  return tokens;
}

}  // namespace minke
