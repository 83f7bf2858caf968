#pragma once
// Memory and time of a training recipe on this machine's CPU: the same allocations as the trainer's
// arenas, and each operation's arithmetic and bytes against what the machine was measured to do.

#include "config/train_config.h"
#include "plan/model_shape.h"

namespace minke {

// Bytes of the trainer's arena by part, without the process itself (about local_process_bytes).
struct LocalMemory {
  int64_t weights = 0;      // f32 weights and gradients
  int64_t optimizer = 0;    // moments, EMA, Muon's scratch
  int64_t packed = 0;       // weights in the kernels' layout
  int64_t activations = 0;  // of a micro-batch, and the gradients of one layer
  int64_t total() const { return weights + optimizer + packed + activations; }
};

// The program and its libraries; the data files, which are mapped and checked whole, come on top.
constexpr int64_t local_process_bytes = 16 << 20;

// threads: Muon has scratch for each.
LocalMemory local_memory(const TrainConfig& config, int threads);

// What the machine does: measured peaks and how slow it really was.
struct LocalRates {
  double f32_flops = 0, bf16_flops = 0, int8_operations = 0;  // all threads; 0: no such unit
  double memory_bytes = 0;                                    // bytes/s
  double factor = 1.0;  // measured by predicted time, from calibration
  int threads = 1;
};

struct LocalStep {
  double matmul = 0, attention = 0, memory_bound = 0, optimizer = 0;  // seconds, factor included
  double total() const { return matmul + attention + memory_bound + optimizer; }
};

// One optimiser step at the recipe's full batch.
LocalStep local_step(const TrainConfig& config, const LocalRates& rates);

}  // namespace minke
