#pragma once
// What the server counts, for Prometheus.

#include <array>
#include <map>
#include <mutex>
#include <string>

#include "config/train_config.h"
#include "infer/engine.h"
#include "ledger/energy.h"

namespace minke {

// Adds what was counted since an engine began, and nothing of what it does now.
void add_counters(EngineStats& sum, const EngineStats& more);

// Thread-safe.
class ServerMetrics {
 public:
  explicit ServerMetrics(CostConfig prices);

  void count_request(const std::string& path, int status, double http_cpu_seconds);
  void record_first_token(double seconds);
  // So many tokens came, each so long after the one before.
  void record_token_gaps(double seconds, int64_t count);
  void record_queue(double seconds);

  // waiting, running: requests before and behind the admission.
  struct ModelState {
    std::string name;
    EngineStats stats;
    int64_t waiting, running;
  };
  // As they are at one moment, so that sums never fall.
  struct ModelStates {
    std::vector<ModelState> loaded;
    EngineStats unloaded;  // sum of those that were unloaded
  };
  // Prometheus' text format.
  std::string text(const ModelStates& models);

 private:
  std::string requests_text() const;
  std::string cost_text(int64_t generated_tokens);
  // Durations by their upper bounds.
  struct Histogram {
    static constexpr std::array<double, 13> bounds = {.001, .0025, .005, .01, .025, .05, .1,
                                                      .25,  .5,    1,    2.5, 10,   60};
    std::array<int64_t, bounds.size() + 1> counts = {};
    double sum = 0;
    void add(double seconds, int64_t count = 1);
    std::string text(const std::string& name, const std::string& help) const;
  };

  const CostConfig prices_;
  const double start_, cpu_start_;
  std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;
  double http_cpu_ = 0;
  Histogram first_token_, token_gap_, queue_;
  EnergyMeter energy_;
};

}  // namespace minke
