#include "serve/admission.h"

#include <algorithm>
#include <cmath>

#include "api/error.h"
#include "base/machine.h"

namespace minke {
namespace {

ApiError too_many(const std::string& message, int seconds) {
  ApiError error(429, message);
  error.retry_after = std::max(1, seconds);
  return error;
}

}  // namespace

std::unique_ptr<Admission::Ticket> Admission::enter(const std::string& client) {
  auto ticket = std::make_unique<Ticket>(*this, client);
  const std::lock_guard lock(mutex_);
  if (running_ + waiting_ >= most_running_ + most_waiting_)
    throw too_many("the queue is full; try again later", 1);
  queues_[client].push_back(ticket.get());
  ++waiting_;
  hand_out();
  return ticket;
}

// The next client in turn gives its oldest ticket, as long as there is room.
void Admission::hand_out() {
  while (running_ < most_running_ && !queues_.empty()) {
    auto next = queues_.upper_bound(last_);
    if (next == queues_.end()) next = queues_.begin();
    last_ = next->first;
    next->second.front()->has_turn_ = true;
    next->second.pop_front();
    if (next->second.empty()) queues_.erase(next);
    --waiting_;
    ++running_;
  }
  changed_.notify_all();
}

bool Admission::Ticket::wait(double seconds) {
  std::unique_lock lock(admission_.mutex_);
  return admission_.changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                                      [this] { return has_turn_; });
}

Admission::Ticket::~Ticket() {
  const std::lock_guard lock(admission_.mutex_);
  if (has_turn_) {
    --admission_.running_;
    admission_.hand_out();
    return;
  }
  const auto queue = admission_.queues_.find(client_);
  if (queue == admission_.queues_.end()) return;
  const size_t before = queue->second.size();
  std::erase(queue->second, this);
  admission_.waiting_ -= static_cast<int64_t>(before - queue->second.size());
  if (queue->second.empty()) admission_.queues_.erase(queue);
}

int64_t Admission::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

int64_t Admission::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

void ClientLimits::count(const std::string& client) {
  if (per_minute_ == 0) return;
  const double now = now_seconds(), limit = static_cast<double>(per_minute_);
  const std::lock_guard lock(mutex_);
  forget_idle(now);
  const auto [entry, is_new] = clients_.try_emplace(client);
  Client& counted = entry->second;
  if (is_new) counted.tokens = limit;
  if (!is_new)
    counted.tokens = std::min(limit, counted.tokens + (now - counted.updated) * limit / 60);
  counted.updated = now;
  if (counted.tokens < 1)
    throw too_many(fmt::format("more than {} requests in a minute", per_minute_),
                   static_cast<int>(std::ceil((1 - counted.tokens) * 60 / limit)));
  counted.tokens -= 1;
}

// A client that was idle for a minute has a full bucket again.
void ClientLimits::forget_idle(double now) {
  constexpr size_t many = 1000;
  constexpr double minute = 60;
  if (clients_.size() < many) return;
  std::erase_if(clients_, [&](const auto& entry) {
    return entry.second.held == 0 && now - entry.second.updated > minute;
  });
}

std::shared_ptr<void> ClientLimits::hold(const std::string& client) {
  if (at_once_ == 0) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto [entry, is_new] = clients_.try_emplace(client);
  if (is_new) {
    entry->second.tokens = static_cast<double>(per_minute_);
    entry->second.updated = now_seconds();
  }
  if (entry->second.held >= at_once_)
    throw too_many(fmt::format("more than {} requests at once", at_once_), 1);
  ++entry->second.held;
  return {nullptr, [this, client](void*) {
            const std::lock_guard lock(mutex_);
            --clients_[client].held;
          }};
}

}  // namespace minke
