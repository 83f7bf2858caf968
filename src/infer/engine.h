#pragma once
// The engine: many requests at once on one model. Each step schedules a batch of tokens (one of
// every answer that grows, and as many prompt tokens as fit), runs it, and hands out the new
// tokens.
//
// What must hold: the same seed gives the same text whatever else is being served and whether
// tokens are drafted or not. (One exception: a token that was generated earlier and now comes from
// remembered pages as part of a prompt was computed absorbed instead of expanded.)

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "infer/sampler.h"
#include "model/loaded_model.h"
#include "text/tokenizer.h"

namespace minke {

// How MLA computes attention: prompt tokens expanded and generated ones absorbed, or all alike.
enum class AttentionMode { mixed, absorbed, expanded };

struct EngineOptions {
  AttentionMode attention = AttentionMode::mixed;
  int64_t max_sequences = 16;  // answers that grow at once
  bool prefix_cache = true;
  // Drafted and checked with each token of an answer, by the MTP module if the model has one and
  // was loaded with drafts, otherwise by looking the newest tokens up in the text; 0: none.
  // Drafting stops where it does not pay.
  int64_t draft_tokens = 0;
  bool always_draft = false;  // pay or not
};

// What may come next, kept up to date with what came; for constrained decoding. Not thread-safe.
class TokenGrammar {
 public:
  virtual ~TokenGrammar() = default;
  // Tokens that may come next, the end of the text included where the grammar allows it.
  virtual const TokenMask& allowed() = 0;
  virtual void accept(int32_t token) = 0;
};

enum class FinishReason { none, stop, length, cancelled, error };
std::string_view finish_reason_name(FinishReason reason);

// What one step adds to an answer.
struct TokenEvent {
  std::vector<int32_t> tokens;  // new ones, without the one that ended the text
  std::string text;  // what can be shown: whole characters, never a part of a stop string
  std::vector<LogProbabilities> log_probabilities;  // of each token, if asked for
  // Of the prompt's tokens but the first, if asked for: the next ones that were computed.
  std::vector<LogProbabilities> prompt_log_probabilities;
  std::vector<float> embedding;  // of the whole prompt, with the finish, if asked for
  int64_t cached_tokens = 0;     // of the prompt, that were remembered
  FinishReason finish = FinishReason::none;
  std::string error;        // finish == error
  std::string stop_string;  // finish == stop: the one that was found, if it was one
};

struct Request {
  std::vector<int32_t> prompt;  // at least one token
  SamplingOptions sampling;
  int64_t max_tokens = 0;            // of the answer; 0: what the context leaves
  std::vector<std::string> stop;     // strings that end the answer; they are not part of it
  std::vector<int32_t> stop_tokens;  // tokens that end it, beside the tokenizer's EOS
  bool ignore_eos = false;
  bool skip_special = true;            // special tokens are left out of the text
  int64_t top_log_probabilities = -1;  // -1: no log-probabilities; n: also of the n most likely
  // The prompt's tokens get log-probabilities too; the whole prompt is computed for that. Needs a
  // model whose batch_logits() is more than the answers that grow at once take.
  bool prompt_log_probabilities = false;
  // Nothing is written: the event that finishes has the mean of the prompt's hidden states after
  // the last norm. The whole prompt is computed for that.
  bool embedding = false;
  std::shared_ptr<TokenGrammar> grammar;
  // Called inside step() with each chosen token, the one that ends the text included, and the
  // logits (f32 [vocab]) that it was chosen by.
  std::function<void(std::span<const float> logits, int32_t token)> on_choice;
  // Called inside step(), never after a finish.
  std::function<void(const TokenEvent& event)> on_tokens;
};

struct EngineStats {
  int64_t waiting = 0, running = 0;
  int64_t pages_used = 0, pages = 0;
  int64_t prompt_tokens = 0, cached_prompt_tokens = 0, generated_tokens = 0;
  int64_t drafted_tokens = 0, accepted_tokens = 0;
  double draft_speed_up = 0;  // measured, tokens per second against none drafted; 0: not yet known
  int64_t preemptions = 0, steps = 0;
};

// check(), submit(), cancel() and stats() may be called by any thread, from on_tokens too; step()
// by one thread at a time. The model and the tokenizer must outlive the engine.
class Engine {
 public:
  Engine(LoadedModel& model, const Tokenizer& tokenizer, const EngineOptions& options);
  ~Engine();

  // Impossible requests are usage Errors: an empty prompt, a token outside of the vocabulary, a
  // prompt that the context or the pages cannot hold, sampling options out of range.
  void check(const Request& request) const;
  // Checks a request, queues it and returns its name.
  uint64_t submit(Request request);
  // Ends a request; its pages are free before the next step. Its last event says `cancelled`.
  void cancel(uint64_t id);
  // One step; false if there was nothing to do.
  bool step();
  EngineStats stats() const;

 private:
  struct Sequence;
  struct Planned;
  struct State;

  void take_new_requests();
  void schedule();
  void plan_running(bool prompts);
  void plan_waiting();
  bool plan(Sequence& sequence);
  bool admit(Sequence& sequence);
  bool reserve(Sequence& sequence, int64_t tokens);
  void preempt(size_t running);
  void look_up_drafts(Sequence& sequence);
  bool drafts_by_model() const;
  bool waits_for_same_prompt(const Sequence& sequence) const;
  int64_t spare_logits() const;
  int64_t context() const;

  Tensor run();
  void plan_sum(const Planned& planned);
  void make_batch(std::vector<Planned>& all);
  void add_segment(Planned& planned, int64_t begin, int64_t end, AttentionForm form);
  void draft();
  void draft_once(std::vector<Planned>& planned);
  AttentionForm form_of(bool answer) const;

  int64_t postprocess(const Tensor& logits);
  void choose_tokens(const Tensor& logits);
  int64_t take_tokens(Planned& planned, const Tensor& logits);
  void score_prompt(Planned& planned, const Tensor& logits, TokenEvent& event);
  void take_embedding(Planned& planned);
  bool take_token(Sequence& sequence, std::span<const float> logits, std::optional<int32_t> chosen,
                  TokenEvent& event);
  int64_t draft_limit(const Sequence& sequence) const;
  void record_step(double seconds, int64_t tokens);
  void remember_pages(Sequence& sequence);
  void release_pages(Sequence& sequence);
  void finish(Sequence& sequence, TokenEvent event);

  LoadedModel& model_;
  const Tokenizer& tokenizer_;
  EngineOptions options_;
  std::unique_ptr<State> state_;
};

}  // namespace minke
