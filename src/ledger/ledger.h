#pragma once
// ledger/: what a run did and what it cost. metrics.jsonl grows while the run goes on; ledger.json
// sums it up. Both are written here, read here, and added up here. May include config/ and base/.
//
// docs/ledger.md explains every entry.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "config/train_config.h"
#include "ledger/energy.h"

namespace minke {

// A point of the learning curve.
struct LearningPoint {
  int64_t step = 0;
  int64_t tokens = 0;
  double seconds = 0.0;                 // wall time of the run so far
  double train_loss = 0.0;              // nats per token
  std::optional<double> bits_per_byte;  // of the validation split, where it was measured
  double cost = 0.0;                    // so far, in the ledger's currency
};

// Sums over all sessions of a run: it may have been stopped and resumed.
struct Ledger {
  std::string name;
  std::string machine;  // the CPU's name
  int64_t cores = 0;    // granted to the last session
  int64_t gpus = 0;
  int64_t sessions = 0;
  bool finished = false;  // the run did all that its recipe asks for
  double wall_seconds = 0.0;
  double core_seconds = 0.0;      // wall time of each session times its cores
  double training_seconds = 0.0;  // wall time inside training steps: what rates are computed with
  double cpu_seconds = 0.0;
  int64_t steps = 0;
  int64_t tokens = 0;                // trained on
  double model_flops = 0.0;          // that the steps needed, recomputation not counted
  std::optional<double> peak_flops;  // the machine's measured limit, operations per second
  int64_t peak_memory_bytes = 0;
  int64_t planned_memory_bytes = 0;
  std::optional<double> energy_joules;  // of the processor packages; nothing where not reported
  CostConfig prices;
  std::string recipe_sha256;
  std::string data_sha256;
  std::string weights_sha256;  // of the final weights
  std::string code_version;    // the commit
  std::vector<LearningPoint> curve;

  double tokens_per_second() const;
  double flops_per_second() const;
  std::optional<double> fraction_of_peak() const;
  // Cores, GPUs and, where it is known, energy at their prices.
  double cost() const;
};

// Measures one session of a run, in this process, on top of the sessions before it. Its time begins
// with its construction. Not thread-safe.
class LedgerSession {
 public:
  // before: the ledger as the last session left it, or a new one.
  explicit LedgerSession(Ledger before);

  // Drops the points of the curve after that step: the run will pass them again.
  void go_on_after(int64_t step);

  // Brings times, energy and peak memory up to date and returns the ledger, for the caller to fill
  // in the rest.
  Ledger& update();

 private:
  Ledger ledger_;
  std::optional<double> energy_before_;
  double wall_before_, core_before_, cpu_before_;
  double wall_start_, cpu_start_;
  EnergyMeter energy_;
};

// ledger.json text, and back; `where` names it in errors.
std::string write_ledger(const Ledger& ledger);
Ledger parse_ledger(const std::string& json, const std::string& where);
// Reads RUN/ledger.json, or the file itself.
Ledger load_ledger(const fs::path& run);

// The ledger and its learning curve for a person to read.
std::string ledger_table(const Ledger& ledger);

}  // namespace minke
