#pragma once
// The answers that one HTTP request asks for: their way through queue and engine, as its thread
// sees it.

#include "api/response.h"
#include "serve/answer_queue.h"
#include "serve/connection.h"
#include "serve/service.h"

namespace minke {

// What came of one answer of several.
struct AnswerEvent {
  int index;
  TokenEvent event;
};

// Not thread-safe.
class Job {
 public:
  // Takes the client's share of requests at once, and the model; refuses by ApiErrors.
  Job(Service& service, const Exchange& exchange, const std::string& model);
  // Cancels what is open.
  ~Job();
  Job(const Job&) = delete;

  ServedModel& model() const { return *lease_.model; }
  const ModelPool::Lease& lease() const { return lease_; }
  // Of an answer that begins now.
  AnswerHead new_head(const std::string& id_prefix) const;
  int64_t prompt_tokens() const { return prompt_tokens_; }  // of all prompts

  // Answer `index` is to be made; indices count up from 0. Impossible requests are ApiErrors.
  void add(Request request, bool new_prompt = true);
  // Joins the model's queue; an ApiError of 429 when it is full. is_stream: the client wants to see
  // the answers grow.
  void enter(bool is_stream);
  // The next event; nothing when all answers have ended. Throws ClientGone, an ApiError when the
  // time is up or the engine failed. on_silence is called when nothing came for a while.
  std::optional<AnswerEvent> next(const std::function<void()>& on_silence = {});

 private:
  void begin();
  void submit_more();
  void check_limits_and_keep_alive(const std::function<void()>& on_silence);
  void record(int index, const AnswerPiece& piece);

  std::shared_ptr<void> hold_;  // the client's share
  ModelPool::Lease lease_;
  Connection& connection_;
  const std::string client_;
  const ServeOptions& options_;
  ServerMetrics& metrics_;
  const double arrival_;
  double last_sign_;    // when something was last sent
  double entered_ = 0;  // when it joined the queue
  int64_t prompt_tokens_ = 0;
  std::shared_ptr<AnswerQueue> queue_;
  std::shared_ptr<void> watch_;       // for the client to hang up
  std::map<int, AnswerPiece> taken_;  // from the queue, not yet given to the caller
  std::vector<Request> requests_;     // from ids_.size() on: not yet submitted
  std::vector<uint64_t> ids_;
  std::vector<double> last_tokens_;  // when each answer got its last; 0: none yet
  int open_ = 0;
  bool is_submitted_ = false;
  std::unique_ptr<Admission::Ticket> ticket_;
};

}  // namespace minke
