#include "serve/service.h"

#include "base/machine.h"

namespace minke {

void check_answer_time(double arrival, const ServeOptions& options) {
  if (now_seconds() - arrival > options.answer_seconds)
    throw ApiError(503,
                   fmt::format("the answer took more than {} seconds", options.answer_seconds));
}

ModelPool::Lease acquire_model(Service& service, const Exchange& exchange,
                               const std::string& name) {
  return service.pool.acquire(name, [&] {
    if (!exchange.connection.is_open()) throw ClientGone{};
    check_answer_time(exchange.arrival, service.options);
  });
}

}  // namespace minke
