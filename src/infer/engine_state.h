#pragma once
// What the engine keeps of its requests; for engine.cc, engine_schedule.cc and engine_draft.cc
// only.

#include <deque>
#include <set>

#include "infer/draft_policy.h"
#include "infer/engine.h"
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
  bool wants_scores() const {
    return request.prompt_log_probabilities && scored + 1 < prompt_size();
  }
  // Pages of earlier requests are of no use: more is wanted of the prompt than its last logits.
  bool wants_whole_prompt() const { return wants_scores() || request.embedding; }

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
  bool was_admitted = false;                  // counted in the statistics
  int64_t remembered_tokens = 0;              // of the prompt, when it was admitted first
  int64_t scored = 0;                         // tokens of the prompt with log-probabilities
  int64_t summed = 0;                         // tokens of the prompt that hidden_sum has
  std::vector<double> hidden_sum;             // [hidden], of an embedding
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
  int64_t prompt_logits = -1;  // row of the logits after token `begin`, where the prompt is scored
  std::optional<int32_t> chosen = {};  // the next token, where all of them are chosen at once
};

struct Engine::State {
  explicit State(int64_t pages) : cache(pages) {}

  PageCache cache;
  std::deque<std::unique_ptr<Sequence>> waiting;
  std::vector<std::unique_ptr<Sequence>> running;  // oldest first
  std::vector<Planned> planned;
  int64_t budget = 0;        // rows that the step can still take
  int64_t spare_logits = 0;  // rows whose logits it can still compute for scores
  DraftPolicy draft_policy;

  // The batch of this step.
  std::vector<int32_t> tokens, logit_rows;
  std::vector<BatchSegment> segments;
  std::vector<HiddenSum> sums;

  std::mutex mutex;  // for what follows
  std::vector<std::unique_ptr<Sequence>> incoming;
  std::set<uint64_t> cancelled;
  uint64_t last_id = 0;
  EngineStats stats;
};

}  // namespace minke
