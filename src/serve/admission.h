#pragma once
// Who may use a model when: a bounded queue, fair between clients.

#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace minke {

// Thread-safe. Tickets must not outlive it.
class Admission {
 public:
  // running: tickets that have their turn at once; waiting: others at most.
  Admission(int64_t running, int64_t waiting) : most_running_(running), most_waiting_(waiting) {}

  class Ticket {
   public:
    Ticket(Admission& admission, std::string client)
        : admission_(admission), client_(std::move(client)) {}
    ~Ticket();
    Ticket(const Ticket&) = delete;
    // Waits for so many seconds at most; true when it is this ticket's turn.
    bool wait(double seconds);

   private:
    friend class Admission;
    Admission& admission_;
    std::string client_;
    bool has_turn_ = false;
  };

  // Joins the queue. When it is full, an ApiError of 429.
  std::unique_ptr<Ticket> enter(const std::string& client);
  int64_t waiting() const;
  int64_t running() const;

 private:
  void hand_out();

  const int64_t most_running_, most_waiting_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int64_t running_ = 0, waiting_ = 0;
  std::map<std::string, std::deque<Ticket*>> queues_;  // by client, none of them empty
  std::string last_;                                   // the client whose turn it was
};

// What one client may do; nothing is counted where a limit is 0. Thread-safe.
class ClientLimits {
 public:
  ClientLimits(int64_t per_minute, int64_t at_once) : per_minute_(per_minute), at_once_(at_once) {}

  // Counts a request; an ApiError of 429 when the minute's are used up.
  void count(const std::string& client);
  // Held while an answer is made; an ApiError of 429 when there are too many.
  std::shared_ptr<void> hold(const std::string& client);

 private:
  struct Client {
    double tokens = 0, updated = 0;  // a bucket that fills with time
    int64_t held = 0;
  };
  void forget_idle(double now);

  const int64_t per_minute_, at_once_;
  std::mutex mutex_;
  std::map<std::string, Client> clients_;
};

}  // namespace minke
