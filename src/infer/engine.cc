#include "infer/engine.h"

#include <algorithm>

#include "base/machine.h"
#include "base/threads.h"
#include "infer/engine_state.h"

namespace minke {

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

// Tokens of one sequence.
int64_t Engine::context() const {
  return std::min(model_.max_tokens(), model_.pages() * page_tokens);
}

void Engine::check(const Request& request) const {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt == 0) fail_usage("the prompt is empty; give at least one token");
  if (prompt >= context())
    fail_usage(
        "the prompt has {} tokens, the context holds {}; shorten it, or load the model with a "
        "longer context",
        prompt, context());
  for (const int32_t token : request.prompt)
    if (token < 0 || token >= tokenizer_.vocab_size())  // the model may have more rows
      fail_usage("token {} of the prompt is outside of the vocabulary of {}", token,
                 tokenizer_.vocab_size());
  if (request.prompt_log_probabilities && spare_logits() < 1)
    fail_usage("the model was loaded without room for a prompt's log-probabilities");
  check_sampling(request.sampling, tokenizer_.vocab_size());
}

uint64_t Engine::submit(Request request) {
  check(request);
  const int64_t left = context() - static_cast<int64_t>(request.prompt.size());
  request.max_tokens = request.max_tokens > 0 ? std::min(request.max_tokens, left) : left;
  if (request.embedding) request.max_tokens = 1;  // there is nothing to draft
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
  const bool works = !state_->planned.empty();  // what finishes now leaves it empty
  if (works) {
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
  stats.steps += works;
  return works || !state_->incoming.empty();
}

// Only steps without prompts tell what drafting is worth.
void Engine::record_step(double seconds, int64_t tokens) {
  const bool answers_only =
      std::none_of(state_->planned.begin(), state_->planned.end(),
                   [](const Planned& p) { return p.begin < p.sequence->prompt_size(); });
  if (options_.draft_tokens > 0 && answers_only) state_->draft_policy.record(seconds, tokens);
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

// The tokens that are new to the sum of their hidden states; a preempted prompt is computed again.
void Engine::plan_sum(const Planned& planned) {
  Sequence& sequence = *planned.sequence;
  const int64_t end = planned.begin + planned.count;
  if (end <= sequence.summed) return;
  const int64_t row = planned.rows.front() - planned.begin;  // of the prompt's first token
  sequence.hidden_sum.resize(static_cast<size_t>(model_.config().hidden_size));
  state_->sums.push_back(
      {row + std::max(planned.begin, sequence.summed), row + end, sequence.hidden_sum});
  sequence.summed = end;
}

Tensor Engine::run() {
  State& s = *state_;
  make_batch(s.planned);
  s.sums.clear();
  for (Planned& planned : s.planned) {
    const Sequence& sequence = *planned.sequence;
    if (sequence.request.embedding) {
      plan_sum(planned);
      continue;
    }
    const int64_t last = sequence.size() - 1 - planned.begin;
    const int64_t first = sequence.wants_scores() ? 0 : last;
    const int64_t row = static_cast<int64_t>(s.logit_rows.size());
    if (sequence.wants_scores()) planned.prompt_logits = row;
    if (planned.count > last) planned.first_logits = row + last - first;
    if (first < planned.count)
      s.logit_rows.insert(s.logit_rows.end(), planned.rows.begin() + first, planned.rows.end());
  }
  return model_.forward(s.tokens, s.segments, s.logit_rows, s.sums);
}

// Returns how many tokens came.
int64_t Engine::postprocess(const Tensor& logits) {
  choose_tokens(logits);
  int64_t tokens = 0;
  for (Planned& planned : state_->planned) tokens += take_tokens(planned, logits);
  std::erase_if(state_->planned, [](const Planned& p) { return p.sequence->finished; });
  std::erase_if(state_->running, [](const auto& sequence) { return sequence->finished; });
  return tokens;
}

// The next token of every sequence, by all threads: with a large vocabulary that is a good part of
// a step. A grammar is asked in its own order, later, and so is a choice that fails.
void Engine::choose_tokens(const Tensor& logits) {
  parallel_for(static_cast<int64_t>(state_->planned.size()), [&](int64_t i) {
    Planned& planned = state_->planned[static_cast<size_t>(i)];
    Sequence& sequence = *planned.sequence;
    if (planned.first_logits < 0 || sequence.request.embedding || sequence.request.grammar) return;
    const std::span<const float> row(logits.row<float>(planned.first_logits),
                                     static_cast<size_t>(logits.columns()));
    try {
      planned.chosen = sequence.sampler.choose(row, sequence.answer_size(), nullptr);
    } catch (const std::exception&) {
    }
  });
}

void Engine::score_prompt(Planned& planned, const Tensor& logits, TokenEvent& event) {
  Sequence& sequence = *planned.sequence;
  for (int64_t i = 0; i < planned.count; ++i) {
    const int64_t target = planned.begin + i + 1;
    if (target <= sequence.scored || target >= sequence.prompt_size()) continue;
    const float* row = logits.row<float>(planned.prompt_logits + i);
    event.prompt_log_probabilities.push_back(
        log_probabilities({row, static_cast<size_t>(logits.columns())}, sequence.tokens[target],
                          std::max<int64_t>(0, sequence.request.top_log_probabilities)));
    sequence.scored = target;
  }
}

// Ends the request once its whole prompt is in the sum.
void Engine::take_embedding(Planned& planned) {
  Sequence& sequence = *planned.sequence;
  sequence.cached += planned.count;
  remember_pages(sequence);
  if (sequence.cached < sequence.size()) return;
  TokenEvent event;
  for (const double sum : sequence.hidden_sum)
    event.embedding.push_back(static_cast<float>(sum / static_cast<double>(sequence.size())));
  event.finish = FinishReason::stop;
  finish(sequence, std::move(event));
}

// Returns how many tokens came.
int64_t Engine::take_tokens(Planned& planned, const Tensor& logits) {
  Sequence& sequence = *planned.sequence;
  if (sequence.request.embedding) {
    take_embedding(planned);
    return 0;
  }
  TokenEvent event;
  event.cached_tokens = sequence.remembered_tokens;
  if (planned.prompt_logits >= 0) score_prompt(planned, logits, event);
  if (planned.first_logits < 0) {
    sequence.cached += planned.count;
    remember_pages(sequence);
    if (planned.prompt_logits >= 0 && sequence.request.on_tokens) sequence.request.on_tokens(event);
    return 0;
  }
  const int64_t before = sequence.size(), drafted = static_cast<int64_t>(sequence.drafts.size());
  try {
    for (int64_t i = 0; i <= drafted; ++i) {
      const float* row = logits.row<float>(planned.first_logits + i);
      const std::optional<int32_t> chosen = i == 0 ? planned.chosen : std::nullopt;
      if (!take_token(sequence, {row, static_cast<size_t>(logits.columns())}, chosen, event)) break;
      if (i < drafted && sequence.tokens.back() != sequence.drafts[i]) break;
    }
  } catch (const std::exception& error) {  // of this request's grammar or sampling: others go on
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
bool Engine::take_token(Sequence& sequence, std::span<const float> logits,
                        std::optional<int32_t> chosen, TokenEvent& event) {
  const Request& request = sequence.request;
  const TokenMask* mask = request.grammar ? &request.grammar->allowed() : nullptr;
  const int32_t token =
      chosen ? *chosen : sequence.sampler.choose(logits, sequence.answer_size(), mask);
  if (request.on_choice) request.on_choice(logits, token);
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
