#pragma once
// What handlers work with.

#include "serve/http_server.h"
#include "serve/model_pool.h"

namespace minke {

// All of it outlives the handlers.
struct Service {
  const ServeOptions& options;
  ModelPool& pool;
  ServerMetrics& metrics;
  ClientLimits& limits;
};

// An ApiError of 503 when an answer to what arrived then has taken too long.
void check_answer_time(double arrival, const ServeOptions& options);
// ModelPool's acquire(), which a request leaves that takes too long or whose client hangs up: a
// ClientGone.
ModelPool::Lease acquire_model(Service& service, const Exchange& exchange, const std::string& name);

}  // namespace minke
