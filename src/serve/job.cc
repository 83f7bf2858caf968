#include "serve/job.h"

#include <ctime>

#include "base/machine.h"
#include "serve/engine_request.h"

namespace minke {
namespace {
constexpr double tick = 0.1;               // seconds between looks around where nothing comes
constexpr double stream_pause = 1.0 / 30;  // seconds at least between the pieces of a stream
constexpr double whole_pause = 1e9;        // where nothing but the end is of interest
}  // namespace

Job::Job(Service& service, const Exchange& exchange, const std::string& model)
    : hold_(service.limits.hold(exchange.client)),
      lease_(acquire_model(service, exchange, model)),
      connection_(exchange.connection),
      client_(exchange.client),
      options_(service.options),
      metrics_(service.metrics),
      arrival_(exchange.arrival),
      last_sign_(now_seconds()) {}

Job::~Job() {
  for (const uint64_t id : ids_) model().cancel(id);
}

AnswerHead Job::new_head(const std::string& id_prefix) const {
  return {new_id(id_prefix), lease_.name, std::time(nullptr)};
}

void Job::add(Request request, bool new_prompt) {
  try {
    model().check(request);
  } catch (const Error& error) {
    throw ApiError(400, error.what());
  }
  if (new_prompt) prompt_tokens_ += static_cast<int64_t>(request.prompt.size());
  requests_.push_back(std::move(request));
}

void Job::enter(bool is_stream) {
  queue_ = std::make_shared<AnswerQueue>(is_stream ? stream_pause : whole_pause);
  watch_ = connection_.watch([queue = queue_] { queue->close(); });
  entered_ = now_seconds();
  ticket_ = model().admission().enter(client_);
}

void Job::begin() {
  is_submitted_ = true;
  metrics_.record_queue(now_seconds() - entered_);
  open_ = static_cast<int>(requests_.size());
  last_tokens_.assign(requests_.size(), 0);
  submit_more();
}

// The engine takes requests in their order: so that others get their turn, it knows of no more of
// this job's than it can work on at once.
void Job::submit_more() {
  const size_t ended = requests_.size() - static_cast<size_t>(open_);
  const size_t end =
      std::min(requests_.size(), ended + static_cast<size_t>(model().max_sequences()));
  for (size_t i = ids_.size(); i < end; ++i) {
    // The engine may call this once more when the job is gone.
    requests_[i].on_tokens = [queue = queue_, i](const TokenEvent& event) {
      queue->push(static_cast<int>(i), event);
    };
    ids_.push_back(model().submit(std::move(requests_[i])));
  }
}

void Job::check_limits_and_keep_alive(const std::function<void()>& on_silence) {
  const bool is_gone = queue_->is_closed() || connection_.is_aborted();
  if (is_gone || (taken_.empty() && !connection_.is_open())) throw ClientGone{};
  if (queue_->has_overflown()) throw ApiError(503, "the answer was not read fast enough");
  check_answer_time(arrival_, options_);
  const double now = now_seconds();
  if (!on_silence || now - last_sign_ < options_.keep_alive_seconds) return;
  last_sign_ = now;
  on_silence();
}

void Job::record(int index, const AnswerPiece& piece) {
  double& last = last_tokens_[index];
  int64_t gaps = static_cast<int64_t>(piece.event.tokens.size());
  if (gaps > 0) {
    if (last == 0) {
      metrics_.record_first_token(piece.first - arrival_);
      last = piece.first;
      --gaps;
    }
    metrics_.record_token_gaps(gaps ? (piece.last - last) / static_cast<double>(gaps) : 0, gaps);
    last = piece.last;
  }
  last_sign_ = now_seconds();
  open_ -= piece.event.finish != FinishReason::none;
}

std::optional<AnswerEvent> Job::next(const std::function<void()>& on_silence) {
  while (!is_submitted_) {
    if (ticket_->wait(tick))
      begin();
    else
      check_limits_and_keep_alive(on_silence);
  }
  while (open_ > 0) {
    if (taken_.empty()) {
      taken_ = queue_->take(tick);
      check_limits_and_keep_alive(on_silence);
      continue;
    }
    auto first = taken_.extract(taken_.begin());
    record(first.key(), first.mapped());
    AnswerEvent event{first.key(), std::move(first.mapped().event)};
    if (event.event.finish == FinishReason::error) throw ApiError(500, event.event.error);
    if (event.event.finish == FinishReason::cancelled)
      throw ApiError(500, "the answer was cancelled");
    if (event.event.finish != FinishReason::none) submit_more();
    return event;
  }
  ticket_.reset();
  return std::nullopt;
}

}  // namespace minke
