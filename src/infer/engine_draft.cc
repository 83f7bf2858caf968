// Drafts: tokens that are guessed and then checked with the newest one.
#include <algorithm>

#include "infer/engine_state.h"

namespace minke {

bool Engine::drafts_by_model() const { return options_.draft_tokens > 0 && model_.has_drafts(); }

// As many drafts as could still be accepted.
int64_t Engine::draft_limit(const Sequence& sequence) const {
  if (!options_.always_draft && !state_->draft_policy.drafts()) return 0;
  const int64_t left = sequence.request.max_tokens - sequence.answer_size() - 1;
  return std::clamp<int64_t>(left, 0, options_.draft_tokens);
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

}  // namespace minke
