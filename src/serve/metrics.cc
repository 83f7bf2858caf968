#include "serve/metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/machine.h"
#include "base/threads.h"

namespace minke {
namespace {

std::string head(const std::string& name, const char* type, const std::string& help) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

std::string single(const std::string& name, const char* type, const std::string& help,
                   double value) {
  return head(name, type, help) + fmt::format("{} {}\n", name, value);
}

std::string label_value(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    escaped += c == '\n' ? ' ' : c;
  }
  return escaped;
}

std::string counter(const char* name, const char* help, double value) {
  return single(name, "counter", help, value);
}

std::string models_text(const std::vector<ServerMetrics::ModelState>& models) {
  using State = ServerMetrics::ModelState;
  std::string out;
  const auto gauge = [&](const char* name, const char* help, auto value) {
    out += head(name, "gauge", help);
    for (const State& model : models)
      out += fmt::format("{}{{model=\"{}\"}} {}\n", name, label_value(model.name), value(model));
  };
  gauge("minke_queue_requests", "Requests that wait for their turn.",
        [](const State& m) { return m.waiting; });
  gauge("minke_running_requests", "Requests that have their turn.",
        [](const State& m) { return m.running; });
  gauge("minke_running_sequences", "Answers that grow.",
        [](const State& m) { return m.stats.running; });
  gauge("minke_cache_pages", "Pages of keys and values.",
        [](const State& m) { return m.stats.pages; });
  gauge("minke_cache_pages_used", "Those that running sequences hold.",
        [](const State& m) { return m.stats.pages_used; });
  return out;
}

std::string counters_text(const EngineStats& sum) {
  std::string out;
  out += counter("minke_prompt_tokens_total", "Tokens of prompts.", sum.prompt_tokens);
  out += counter("minke_cached_prompt_tokens_total", "Those found in the cache.",
                 sum.cached_prompt_tokens);
  out += counter("minke_generated_tokens_total", "Tokens written.", sum.generated_tokens);
  out += counter("minke_drafted_tokens_total", "Tokens guessed ahead.", sum.drafted_tokens);
  out += counter("minke_accepted_tokens_total", "Those that were right.", sum.accepted_tokens);
  out += counter("minke_preemptions_total", "Sequences that gave their pages up.", sum.preemptions);
  out += counter("minke_steps_total", "Forward passes.", sum.steps);
  return out;
}

}  // namespace

void add_counters(EngineStats& sum, const EngineStats& more) {
  sum.prompt_tokens += more.prompt_tokens;
  sum.cached_prompt_tokens += more.cached_prompt_tokens;
  sum.generated_tokens += more.generated_tokens;
  sum.drafted_tokens += more.drafted_tokens;
  sum.accepted_tokens += more.accepted_tokens;
  sum.preemptions += more.preemptions;
  sum.steps += more.steps;
}

ServerMetrics::ServerMetrics(CostConfig prices)
    : prices_(std::move(prices)), start_(now_seconds()), cpu_start_(cpu_seconds()) {}

void ServerMetrics::Histogram::add(double seconds, int64_t count) {
  const auto at = std::lower_bound(bounds.begin(), bounds.end(), seconds) - bounds.begin();
  counts[static_cast<size_t>(at)] += count;
  sum += seconds * static_cast<double>(count);
}

std::string ServerMetrics::Histogram::text(const std::string& name, const std::string& help) const {
  std::string out = head(name, "histogram", help);
  int64_t total = 0;
  for (size_t i = 0; i < bounds.size(); ++i)
    out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bounds[i], total += counts[i]);
  total += counts.back();
  return out + fmt::format("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, total,
                           name, sum, name, total);
}

void ServerMetrics::count_request(const std::string& path, int status, double http_cpu_seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{path, status}];
  http_cpu_ += http_cpu_seconds;
}

void ServerMetrics::record_first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_.add(seconds);
}

void ServerMetrics::record_token_gaps(double seconds, int64_t count) {
  const std::lock_guard lock(mutex_);
  token_gap_.add(seconds, count);
}

void ServerMetrics::record_queue(double seconds) {
  const std::lock_guard lock(mutex_);
  queue_.add(seconds);
}

std::string ServerMetrics::requests_text() const {
  std::string out = head("minke_requests_total", "counter", "Requests by path and status.");
  for (const auto& [key, count] : requests_)
    out += fmt::format("minke_requests_total{{path=\"{}\",status=\"{}\"}} {}\n",
                       label_value(key.first), key.second, count);
  out += first_token_.text("minke_time_to_first_token_seconds",
                           "From a request's arrival to its first token.");
  out += token_gap_.text("minke_inter_token_seconds", "Between two tokens of an answer.");
  out += queue_.text("minke_queue_seconds", "Waiting for a turn.");
  return out;
}

std::string ServerMetrics::cost_text(int64_t generated_tokens) {
  std::string out;
  const double cpu = cpu_seconds() - cpu_start_, wall = now_seconds() - start_;
  out += counter("minke_cpu_seconds_total", "CPU time of the process since the server began.", cpu);
  out += counter("minke_http_cpu_seconds_total",
                 "CPU time of the threads that read and write requests.", http_cpu_);
  out += single("minke_resident_bytes", "gauge", "Memory of the process.",
                static_cast<double>(resident_bytes()));
  double cost = wall / 3600 * thread_count() * prices_.per_core_hour;
  if (const auto joules = energy_.joules()) {
    out += counter("minke_energy_joules_total", "Energy of the processor packages.", *joules);
    cost += *joules / 3.6e6 * prices_.per_kwh;
  }
  const double tokens = static_cast<double>(std::max<int64_t>(1, generated_tokens));
  out += single("minke_cost_per_million_tokens", "gauge",
                fmt::format("Cost so far ({}), idle time included, for each million written.",
                            prices_.currency),
                cost / tokens * 1e6);
  return out;
}

std::string ServerMetrics::text(const ModelStates& models) {
  const std::lock_guard lock(mutex_);
  EngineStats sum = models.unloaded;
  for (const ModelState& model : models.loaded) add_counters(sum, model.stats);
  return requests_text() + models_text(models.loaded) + counters_text(sum) +
         cost_text(sum.generated_tokens);
}

}  // namespace minke
