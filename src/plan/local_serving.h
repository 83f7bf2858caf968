#pragma once
// Serving a model on this machine's CPU: the allocations of the loaded model, and each product's
// arithmetic and bytes against what the machine was measured to do.

#include <span>

#include "plan/local_plan.h"
#include "plan/stored_weights.h"

namespace minke {

struct LocalServingJob {
  bool f32 = false;        // arithmetic, as --compute f32
  int64_t prompt = 512;    // tokens
  int64_t context = 1024;  // tokens in the cache of each sequence when one is generated
  int64_t batch = 1;       // sequences that grow at once
};

// Bytes of the loaded model's arena by part. The files come on top: they stay mapped, and the
// system takes their pages back when it needs them.
struct LocalServingMemory {
  int64_t weights = 0;  // norms, and matrices in the kernels' layout
  int64_t cache = 0;    // pages of all sequences
  int64_t scratch = 0;  // of one batch
  int64_t total() const { return weights + cache + scratch; }
};

// Rows of a prompt that one forward pass takes.
constexpr int64_t local_batch_tokens = 256;

LocalServingMemory local_serving_memory(const ModelConfig& config,
                                        std::span<const StoredWeight> weights,
                                        const LocalServingJob& job);

// Seconds of one forward pass by what takes them.
struct PassSeconds {
  double arithmetic = 0;  // products that arithmetic limits
  double reading = 0;     // products that reading the weights limits
  double attention = 0, rest = 0;
  double total() const { return arithmetic + reading + attention + rest; }
  const char* limit() const;
};

struct LocalServing {
  PassSeconds prompt;                               // all of one prompt
  PassSeconds generation;                           // one step of all sequences
  double prompt_tokens = 0, generation_tokens = 0;  // per second, all sequences
  double user_speed = 0;                            // tokens/s of one sequence
  // At a price for a core and hour, all cores of the machine.
  double cost_per_million_input = 0, cost_per_million_output = 0;
};

// Measured by predicted time, from calibration.
struct ServingFactors {
  double prompt = 1.0, generation = 1.0;
};

LocalServing local_serving(const ModelConfig& config, std::span<const StoredWeight> weights,
                           const LocalServingJob& job, const LocalRates& rates,
                           const ServingFactors& factors, double price_per_hour);

}  // namespace minke
