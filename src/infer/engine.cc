#include "infer/engine.h"

#include <algorithm>
#include <deque>
#include <set>

#include "base/machine.h"
#include "infer/draft_policy.h"
#include "infer/page_cache.h"
#include "infer/stop_strings.h"

namespace minke {

struct Engine::Sequence {
  Sequence(uint64_t id, Request r, const Tokenizer& tokenizer, int64_t vocab_size)
      : id(id),
        request(std::move(r)),
        tokens(request.prompt),
        sampler(request.sampling, request.prompt, vocab_size),
        decoder(tokenizer, request.skip_special),
        stops(request.stop) {}

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  int64_t prompt_size() const { return static_cast<int64_t>(request.prompt.size()); }
  int64_t answer_size() const { return size() - prompt_size(); }
  bool in_prompt() const { return cached + 1 < size(); }  // more to compute than the newest token

  uint64_t id;
  Request request;
  std::vector<int32_t> tokens;  // prompt and answer
  Sampler sampler;
  StreamDecoder decoder;
  StopStrings stops;
  std::vector<int32_t> drafts;                // proposed after `tokens`
  std::vector<int32_t> pages;                 // of tokens and drafts, in order
  std::vector<PageCache::Prefix> remembered;  // of the first pages
  int64_t cached = 0;                         // tokens whose keys are in the pages
  bool finished = false;
};

// What a step computes of one sequence: its tokens (and drafts) from `begin` on.
struct Engine::Planned {
  Sequence* sequence;
  int64_t begin, count;
  int64_t first_logits = -1;  // row of the logits after the last token; drafts' follow
  std::vector<int32_t> rows;  // of the batch, of each computed token
  bool draft = false;         // rows are the MTP module's, whose input is the token after each
  std::vector<int32_t> hidden = {};  // of the model's last batch, that such rows go on from
};

struct Engine::State {
  explicit State(int64_t pages) : cache(pages) {}

  PageCache cache;
  std::deque<std::unique_ptr<Sequence>> waiting;
  std::vector<std::unique_ptr<Sequence>> running;  // oldest first
  std::vector<Planned> planned;
  int64_t budget = 0;  // rows that the step can still take
  DraftPolicy draft_policy;

  // The batch of this step.
  std::vector<int32_t> tokens, logit_rows;
  std::vector<BatchSegment> segments;

  std::mutex mutex;  // for what follows
  std::vector<std::unique_ptr<Sequence>> incoming;
  std::set<uint64_t> cancelled;
  uint64_t last_id = 0;
  EngineStats stats;
};

std::string_view finish_reason_name(FinishReason reason) {
  constexpr std::string_view names[] = {"", "stop", "length", "cancelled", "error"};
  return names[static_cast<size_t>(reason)];
}

Engine::Engine(LoadedModel& model, const Tokenizer& tokenizer, const EngineOptions& options)
    : model_(model),
      tokenizer_(tokenizer),
      options_(options),
      state_(std::make_unique<State>(model.pages())) {
  const int64_t logits = options.max_sequences * (1 + options.draft_tokens);
  if (options.max_sequences < 1 || logits > model.batch_logits())
    fail_usage("{} answers at once with {} drafted tokens, the model was loaded for {} in all",
               options.max_sequences, options.draft_tokens, model.batch_logits());
}

Engine::~Engine() = default;

uint64_t Engine::submit(Request request) {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t limit = std::min(model_.max_tokens(), model_.pages() * page_tokens);
  if (prompt == 0) fail_usage("the prompt is empty; give at least one token");
  if (prompt >= limit)
    fail_usage(
        "the prompt has {} tokens, the context holds {}; shorten it, or load the model with a "
        "longer context",
        prompt, limit);
  for (const int32_t token : request.prompt)
    if (token < 0 || token >= model_.config().vocab_size)
      fail_usage("token {} of the prompt is outside of the vocabulary of {}", token,
                 model_.config().vocab_size);
  const int64_t left = limit - prompt;
  request.max_tokens = request.max_tokens > 0 ? std::min(request.max_tokens, left) : left;
  const std::lock_guard lock(state_->mutex);
  const uint64_t id = ++state_->last_id;
  state_->incoming.push_back(
      std::make_unique<Sequence>(id, std::move(request), tokenizer_, tokenizer_.vocab_size()));
  return id;
}

void Engine::cancel(uint64_t id) {
  const std::lock_guard lock(state_->mutex);
  state_->cancelled.insert(id);
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(state_->mutex);
  return state_->stats;
}

bool Engine::step() {
  take_new_requests();
  schedule();
  if (!state_->planned.empty()) {
    const double start = now_seconds();
    const int64_t tokens = postprocess(run());
    if (drafts_by_model() && (options_.always_draft || state_->draft_policy.keeps_up())) draft();
    record_step(now_seconds() - start, tokens);
  }
  const std::lock_guard lock(state_->mutex);
  EngineStats& stats = state_->stats;
  stats.draft_speed_up = state_->draft_policy.speed_up();
  stats.waiting = static_cast<int64_t>(state_->waiting.size() + state_->incoming.size());
  stats.running = static_cast<int64_t>(state_->running.size());
  stats.pages = state_->cache.size();
  stats.pages_used = stats.pages - state_->cache.available();
  stats.steps += !state_->planned.empty();
  return !state_->planned.empty() || !state_->incoming.empty();
}

// New requests join the queue; cancelled ones leave wherever they are.
void Engine::take_new_requests() {
  State& s = *state_;
  std::set<uint64_t> cancelled;
  {
    const std::lock_guard lock(s.mutex);
    for (auto& sequence : s.incoming) s.waiting.push_back(std::move(sequence));
    s.incoming.clear();
    cancelled.swap(s.cancelled);
  }
  const auto leave = [&](auto& sequences) {
    for (auto& sequence : sequences) {
      if (!cancelled.contains(sequence->id)) continue;
      TokenEvent event;
      event.finish = FinishReason::cancelled;
      finish(*sequence, std::move(event));
    }
    std::erase_if(sequences, [](const auto& sequence) { return sequence->finished; });
  };
  if (cancelled.empty()) return;
  leave(s.waiting);
  leave(s.running);
}

// Growing answers first, then prompts under way, then new ones, until the batch is full.
void Engine::schedule() {
  state_->planned.clear();
  state_->budget = model_.batch_tokens();
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
  const int64_t count = std::min(end - sequence.cached, state_->budget);
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

// Gives a sequence what is remembered of its tokens, if the pages for the rest can be had.
bool Engine::admit(Sequence& sequence) {
  PageCache& cache = state_->cache;
  const std::span<const int32_t> tokens(sequence.tokens);
  PageCache::Prefix prefix = 0;
  // At least one token is computed, as its logits are wanted.
  while (options_.prefix_cache && sequence.cached + page_tokens < sequence.size()) {
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
  const std::lock_guard lock(state_->mutex);
  state_->stats.prompt_tokens += sequence.size();
  state_->stats.cached_prompt_tokens += sequence.cached;
  return true;
}

// Another sequence computes pages of the same tokens right now: they will be remembered soon.
bool Engine::waits_for_same_prompt(const Sequence& sequence) const {
  if (!options_.prefix_cache || sequence.size() <= page_tokens) return false;
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

bool Engine::drafts_by_model() const { return options_.draft_tokens > 0 && model_.has_drafts(); }

// As many drafts as could still be accepted.
int64_t Engine::draft_limit(const Sequence& sequence) const {
  if (!options_.always_draft && !state_->draft_policy.drafts()) return 0;
  const int64_t left = sequence.request.max_tokens - sequence.answer_size() - 1;
  return std::clamp<int64_t>(left, 0, options_.draft_tokens);
}

// Only steps without prompts tell what drafting is worth.
void Engine::record_step(double seconds, int64_t tokens) {
  const bool answers_only =
      std::none_of(state_->planned.begin(), state_->planned.end(),
                   [](const Planned& p) { return p.begin < p.sequence->prompt_size(); });
  if (options_.draft_tokens > 0 && answers_only) state_->draft_policy.record(seconds, tokens);
}

// Prompt lookup (Saxena 2023): what followed the last time that the newest tokens stood there.
void Engine::look_up_drafts(Sequence& sequence) {
  sequence.drafts.clear();
  const int64_t wanted = draft_limit(sequence), size = sequence.size();
  constexpr int64_t longest = 3, shortest = 2;
  for (int64_t n = longest; n >= shortest && sequence.drafts.empty() && wanted > 0; --n) {
    if (size <= n) continue;
    const auto newest = sequence.tokens.end() - n;
    const auto found = std::find_end(sequence.tokens.begin(), sequence.tokens.end() - 1, newest,
                                     sequence.tokens.end());
    if (found == sequence.tokens.end() - 1) continue;
    const auto from = found + n;
    sequence.drafts.assign(from, from + std::min(wanted, sequence.tokens.end() - from));
  }
}

AttentionForm Engine::form_of(bool answer) const {
  if (options_.attention == AttentionMode::mixed)
    return answer ? AttentionForm::absorbed : AttentionForm::expanded;
  return options_.attention == AttentionMode::absorbed ? AttentionForm::absorbed
                                                       : AttentionForm::expanded;
}

// Rows for tokens [begin, end) of the sequence.
void Engine::add_segment(Planned& planned, int64_t begin, int64_t end, AttentionForm form) {
  if (begin >= end) return;
  State& s = *state_;
  const Sequence& sequence = *planned.sequence;
  const int64_t row = static_cast<int64_t>(s.tokens.size());
  s.segments.push_back({row, row + end - begin, begin, sequence.pages, form});
  for (int64_t i = begin; i < end; ++i) {
    planned.rows[i - planned.begin] = static_cast<int32_t>(s.tokens.size());
    const int64_t token = i + planned.draft;
    s.tokens.push_back(token < sequence.size() ? sequence.tokens[token]
                                               : sequence.drafts[token - sequence.size()]);
  }
}

// Rows for everything planned, absorbed ones first.
void Engine::make_batch(std::vector<Planned>& all) {
  State& s = *state_;
  s.tokens.clear();
  s.segments.clear();
  s.logit_rows.clear();
  for (Planned& planned : all) planned.rows.resize(static_cast<size_t>(planned.count));
  for (const AttentionForm form : {AttentionForm::absorbed, AttentionForm::expanded})
    for (Planned& planned : all) {
      const int64_t end = planned.begin + planned.count;
      const int64_t prompt = std::clamp(planned.sequence->prompt_size(), planned.begin, end);
      if (form_of(false) == form) add_segment(planned, planned.begin, prompt, form);
      if (form_of(true) == form) add_segment(planned, prompt, end, form);
    }
}

Tensor Engine::run() {
  State& s = *state_;
  make_batch(s.planned);
  for (Planned& planned : s.planned) {
    const Sequence& sequence = *planned.sequence;
    if (planned.begin + planned.count < sequence.size()) continue;  // the prompt goes on
    planned.first_logits = static_cast<int64_t>(s.logit_rows.size());
    s.logit_rows.insert(s.logit_rows.end(),
                        planned.rows.begin() + (sequence.size() - 1 - planned.begin),
                        planned.rows.end());
  }
  return model_.forward(s.tokens, s.segments, s.logit_rows);
}

// Returns how many tokens came.
int64_t Engine::postprocess(const Tensor& logits) {
  int64_t tokens = 0;
  for (Planned& planned : state_->planned) tokens += take_tokens(planned, logits);
  std::erase_if(state_->planned, [](const Planned& p) { return p.sequence->finished; });
  std::erase_if(state_->running, [](const auto& sequence) { return sequence->finished; });
  return tokens;
}

// The MTP module goes over the tokens that this step computed and whose successors are known, so
// that its pages are filled too; from the newest token of each answer it drafts the next, and from
// its own state after that the ones after it.
void Engine::draft() {
  std::vector<Planned> all;
  for (Planned& planned : state_->planned) {
    Sequence& sequence = *planned.sequence;
    const int64_t end = std::min(planned.begin + planned.count, sequence.size() - 1);
    Planned drafted{&sequence, planned.begin, end - planned.begin, -1, {}, true};
    drafted.hidden.assign(planned.rows.begin(), planned.rows.begin() + drafted.count);
    if (drafted.count > 0) all.push_back(std::move(drafted));
  }
  while (!all.empty()) {
    draft_once(all);
    std::erase_if(all, [&](Planned& planned) {
      Sequence& sequence = *planned.sequence;
      const int64_t drafts = static_cast<int64_t>(sequence.drafts.size());
      const int64_t next = sequence.size() - 1 + drafts;  // the token after row next − 1 is a draft
      if (planned.first_logits < 0 || drafts >= draft_limit(sequence) ||
          !reserve(sequence, next + 1))
        return true;
      planned = {&sequence, next - 1, 1, -1, {}, true, {planned.rows.back()}};
      return false;
    });
  }
}

// One pass of the module; the newest row of each answer gives a draft.
void Engine::draft_once(std::vector<Planned>& all) {
  State& s = *state_;
  make_batch(all);
  std::vector<int32_t> hidden(s.tokens.size());
  for (Planned& planned : all) {
    const Sequence& sequence = *planned.sequence;
    for (size_t i = 0; i < planned.rows.size(); ++i) hidden[planned.rows[i]] = planned.hidden[i];
    const int64_t known = sequence.size() + static_cast<int64_t>(sequence.drafts.size());
    if (sequence.in_prompt() || planned.begin + planned.count + 1 < known ||
        draft_limit(sequence) == 0)
      continue;
    planned.first_logits = static_cast<int64_t>(s.logit_rows.size());
    s.logit_rows.push_back(planned.rows.back());
  }
  const Tensor logits = model_.draft(s.tokens, s.segments, hidden, s.logit_rows);
  for (const Planned& planned : all) {
    if (planned.first_logits < 0) continue;
    const float* row = logits.row<float>(planned.first_logits);
    const float* best = std::max_element(row, row + tokenizer_.vocab_size());
    planned.sequence->drafts.push_back(static_cast<int32_t>(best - row));
  }
}

// Returns how many tokens came.
int64_t Engine::take_tokens(Planned& planned, const Tensor& logits) {
  Sequence& sequence = *planned.sequence;
  if (planned.first_logits < 0) {
    sequence.cached += planned.count;
    remember_pages(sequence);
    return 0;
  }
  TokenEvent event;
  const int64_t before = sequence.size(), drafted = static_cast<int64_t>(sequence.drafts.size());
  try {
    for (int64_t i = 0; i <= drafted; ++i) {
      const float* row = logits.row<float>(planned.first_logits + i);
      if (!take_token(sequence, {row, static_cast<size_t>(logits.columns())}, event)) break;
      if (i < drafted && sequence.tokens.back() != sequence.drafts[i]) break;
    }
  } catch (const Error& error) {
    event.finish = FinishReason::error;
    event.error = error.what();
  }
  const int64_t taken = sequence.size() - before;
  sequence.cached = before + std::max<int64_t>(0, taken - 1);
  sequence.drafts.clear();
  {
    const std::lock_guard lock(state_->mutex);
    state_->stats.generated_tokens += taken;
    state_->stats.drafted_tokens += drafted;
    state_->stats.accepted_tokens += std::max<int64_t>(0, taken - 1);
  }
  remember_pages(sequence);
  if (event.finish != FinishReason::none)
    finish(sequence, std::move(event));
  else if (sequence.request.on_tokens)
    sequence.request.on_tokens(event);
  return taken;
}

// Chooses and takes the next token; false when the answer has ended.
bool Engine::take_token(Sequence& sequence, std::span<const float> logits, TokenEvent& event) {
  const Request& request = sequence.request;
  const TokenMask* mask = request.grammar ? &request.grammar->allowed() : nullptr;
  const int32_t token = sequence.sampler.choose(logits, sequence.answer_size(), mask);
  const bool eos = !request.ignore_eos && token == tokenizer_.eos_id();
  if (eos || std::count(request.stop_tokens.begin(), request.stop_tokens.end(), token)) {
    event.finish = FinishReason::stop;
    return false;
  }
  sequence.sampler.accept(token);
  if (request.grammar) request.grammar->accept(token);
  if (request.top_log_probabilities >= 0)
    event.log_probabilities.push_back(
        log_probabilities(logits, token, request.top_log_probabilities));
  sequence.tokens.push_back(token);
  event.tokens.push_back(token);
  event.text += sequence.stops.push(sequence.decoder.push(token));
  if (!sequence.stops.found().empty()) {
    event.finish = FinishReason::stop;
    event.stop_string = sequence.stops.found();
  } else if (sequence.answer_size() >= request.max_tokens) {
    event.finish = FinishReason::length;
  }
  return event.finish == FinishReason::none;
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

void Engine::finish(Sequence& sequence, TokenEvent event) {
  release_pages(sequence);
  sequence.finished = true;
  if (sequence.stops.found().empty()) {
    event.text += sequence.stops.push(sequence.decoder.finish());
    event.text += sequence.stops.finish();
  }
  if (sequence.request.on_tokens) sequence.request.on_tokens(event);
}

}  // namespace minke
