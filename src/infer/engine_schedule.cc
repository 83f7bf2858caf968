// Which tokens a step computes, and whose pages they go into.
#include <algorithm>

#include "infer/engine_state.h"

namespace minke {

// Growing answers first, then prompts under way, then new ones, until the batch is full.
void Engine::schedule() {
  state_->planned.clear();
  state_->budget = model_.batch_tokens();
  state_->spare_logits = spare_logits();
  plan_running(false);
  plan_running(true);
  plan_waiting();
}

void Engine::plan_running(bool prompts) {
  State& s = *state_;
  for (size_t i = 0; i < s.running.size() && s.budget > 0; ++i) {
    Sequence& sequence = *s.running[i];
    if (sequence.in_prompt() != prompts) continue;
    if (!prompts && !drafts_by_model()) look_up_drafts(sequence);
    while (i < s.running.size() && !plan(sequence)) {
      if (!sequence.drafts.empty()) {
        sequence.drafts.clear();
        continue;
      }
      // The youngest gives its pages up, unless this step computes it already.
      const Sequence& youngest = *s.running.back();
      const bool planned = std::any_of(s.planned.begin(), s.planned.end(),
                                       [&](const Planned& p) { return p.sequence == &youngest; });
      if (planned) break;
      preempt(s.running.size() - 1);
    }
  }
}

void Engine::plan_waiting() {
  State& s = *state_;
  size_t at = 0;
  while (at < s.waiting.size() && s.budget > 0 &&
         static_cast<int64_t>(s.running.size()) < options_.max_sequences) {
    Sequence& sequence = *s.waiting[at];
    if (waits_for_same_prompt(sequence)) {
      ++at;
      continue;
    }
    if (!admit(sequence)) return;
    s.running.push_back(std::move(s.waiting[at]));
    s.waiting.erase(s.waiting.begin() + static_cast<int64_t>(at));
    plan(sequence);
  }
}

// Takes as many tokens of the sequence as the batch has room for; false if there are no pages.
bool Engine::plan(Sequence& sequence) {
  const int64_t end = sequence.size() + static_cast<int64_t>(sequence.drafts.size());
  int64_t count = std::min(end - sequence.cached, state_->budget);
  if (sequence.wants_scores()) {
    count = std::min(count, state_->spare_logits);
    if (count == 0) return true;  // in a later step
    state_->spare_logits -= count;
  }
  const int64_t drafts = std::max<int64_t>(0, sequence.cached + count - sequence.size());
  sequence.drafts.resize(static_cast<size_t>(drafts));
  if (!reserve(sequence, sequence.cached + count)) return false;
  state_->planned.push_back({&sequence, sequence.cached, count, -1, {}, false});
  state_->budget -= count;
  return true;
}

bool Engine::reserve(Sequence& sequence, int64_t tokens) {
  while (static_cast<int64_t>(sequence.pages.size()) * page_tokens < tokens) {
    const auto page = state_->cache.allocate();
    if (!page) return false;
    sequence.pages.push_back(*page);
  }
  return true;
}

// Rows of logits that the answers that grow at once leave.
int64_t Engine::spare_logits() const {
  return model_.batch_logits() - options_.max_sequences * (1 + options_.draft_tokens);
}

// Gives a sequence what is remembered of its tokens, if the pages for the rest can be had.
bool Engine::admit(Sequence& sequence) {
  PageCache& cache = state_->cache;
  const std::span<const int32_t> tokens(sequence.tokens);
  PageCache::Prefix prefix = 0;
  // At least one token is computed, as its logits are wanted.
  const bool uses_cache = options_.prefix_cache && !sequence.wants_whole_prompt();
  while (uses_cache && sequence.cached + page_tokens < sequence.size()) {
    const auto match = cache.find(prefix, tokens.subspan(sequence.cached, page_tokens));
    if (!match) break;
    prefix = match->prefix;
    sequence.pages.push_back(match->page);
    sequence.remembered.push_back(prefix);
    sequence.cached += page_tokens;
  }
  const int64_t needed =
      (sequence.size() + page_tokens) / page_tokens - static_cast<int64_t>(sequence.pages.size());
  if (cache.available() < needed) {
    release_pages(sequence);
    return false;
  }
  if (sequence.was_admitted) return true;  // its own pages, after it was preempted
  sequence.was_admitted = true;
  sequence.remembered_tokens = sequence.cached;
  const std::lock_guard lock(state_->mutex);
  state_->stats.prompt_tokens += sequence.prompt_size();
  state_->stats.cached_prompt_tokens += sequence.cached;
  return true;
}

// Another sequence computes pages of the same tokens right now: they will be remembered soon.
bool Engine::waits_for_same_prompt(const Sequence& sequence) const {
  if (!options_.prefix_cache || sequence.size() <= page_tokens || sequence.wants_whole_prompt())
    return false;
  return std::any_of(state_->running.begin(), state_->running.end(), [&](const auto& other) {
    if (!other->in_prompt()) return false;
    const auto differ = std::mismatch(other->tokens.begin(), other->tokens.end(),
                                      sequence.tokens.begin(), sequence.tokens.end());
    const int64_t same = differ.first - other->tokens.begin();
    return same / page_tokens > static_cast<int64_t>(other->remembered.size());
  });
}

void Engine::preempt(size_t running) {
  State& s = *state_;
  release_pages(*s.running[running]);
  s.running[running]->drafts.clear();
  s.waiting.push_front(std::move(s.running[running]));
  s.running.erase(s.running.begin() + static_cast<int64_t>(running));
  const std::lock_guard lock(s.mutex);
  ++s.stats.preemptions;
}

void Engine::remember_pages(Sequence& sequence) {
  const std::span<const int32_t> tokens(sequence.tokens);
  std::vector<PageCache::Prefix>& names = sequence.remembered;
  while (options_.prefix_cache &&
         (static_cast<int64_t>(names.size()) + 1) * page_tokens <= sequence.cached) {
    const size_t page = names.size();
    names.push_back(state_->cache.remember(sequence.pages[page], page ? names[page - 1] : 0,
                                           tokens.subspan(page * page_tokens, page_tokens)));
  }
}

void Engine::release_pages(Sequence& sequence) {
  // The last first: a page is of no use without those before it.
  while (!sequence.pages.empty()) {
    state_->cache.release(sequence.pages.back());
    sequence.pages.pop_back();
  }
  sequence.remembered.clear();
  sequence.cached = 0;
}

}  // namespace minke
