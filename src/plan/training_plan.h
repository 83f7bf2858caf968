#pragma once
// Time, memory and money of training on a cluster of equal devices, and the layouts that fit.

#include <optional>
#include <string>
#include <vector>

#include "plan/roofline.h"

namespace minke {

enum class Pipeline { one_f_one_b, dualpipe };

struct TrainingJob {
  double tokens = 1e12;
  int64_t sequence_length = 4096;
  int64_t batch_sequences = 15360;  // of a step, all devices together
  int64_t devices = 8;
  Precision precision = Precision::bf16;
  int64_t zero_stage =
      1;  // 0: all replicated; 1: optimiser state sharded; 2: gradients; 3: weights
};

struct Layout {
  int64_t pipeline = 1;     // stages
  int64_t experts = 1;      // devices that share the experts, inside data parallelism
  int64_t micro_batch = 1;  // sequences
  bool recompute = false;
  Pipeline schedule = Pipeline::one_f_one_b;
};

// Bytes on the fullest device.
struct RankMemory {
  double weights = 0;      // bf16 (or FP8 beside bf16's rows) that products read
  double gradients = 0;    // f32
  double optimizer = 0;    // f32 master weights and two bf16 moments (V3), sharded by ZeRO
  double activations = 0;  // of the micro-batches in flight
  double buffers = 0;      // logits, the all-to-all, workspaces
  double total() const { return weights + gradients + optimizer + activations + buffers; }
};

struct TrainingPlan {
  Layout layout;
  int64_t data_parallel = 1;
  int64_t micro_batches = 1;  // of one pipeline in a step
  RankMemory memory;
  // Seconds of a step.
  double compute = 0;    // of the slowest stage
  double exposed = 0;    // all-to-all that no computation hides
  double bubble = 0;     // pipeline's start and end
  double reduction = 0;  // gradients and weights between data-parallel ranks
  double optimizer = 0;
  double imbalance = 1;   // slowest stage by mean stage, inside `compute`
  double all_to_all = 0;  // seconds of the all-to-all in a step, hidden or not
  double step_seconds = 0;
  double tokens_per_second = 0;  // of all devices, while training
  double hours = 0;              // wall time with the stated availability
  double device_hours = 0;
  double cost = 0;
  double flops_fraction = 0;  // model FLOPs by the products' peak
  std::string limit;          // what takes most beyond ideal arithmetic
};

// One layout. Usage Errors: experts that do not divide, more stages than layers, devices that the
// layout does not divide, a batch that the pipelines cannot share, no FP8, each with what is valid.
TrainingPlan plan_training(const ModelShape& shape, const MachineFile& machine,
                           const TrainingJob& job, const Layout& layout);

struct TrainingSearch {
  std::vector<TrainingPlan> best;        // the fastest that fit, at most three
  std::optional<TrainingPlan> smallest;  // when none fits: the one that needs least memory
  std::string remedy;                    // and the smallest change that would make one fit
  int64_t tried = 0;
};

TrainingSearch search_training(const ModelShape& shape, const MachineFile& machine,
                               const TrainingJob& job);
// The same for one layout that the caller wants; the Errors are plan_training()'s.
TrainingSearch judge_layout(const ModelShape& shape, const MachineFile& machine,
                            const TrainingJob& job, const Layout& layout);

std::string layout_text(const TrainingPlan& plan);  // "PP 16 x EP 64 x DP 128, DualPipe, ..."

}  // namespace minke
