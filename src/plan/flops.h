#pragma once
// plan/: what a model and a job cost before they run. Arithmetic only. May include config/, tensor/
// and base/.

#include <cstdint>

#include "config/model_config.h"

namespace minke {

// Floating-point operations of one token's forward pass: 2 for each weight that multiplies it (the
// embedding is a look-up and counts nothing; K of the routed experts), and causal attention over
// sequences of this length, 2·H·(d_qk + d_v)·(length + 1)/2 for each layer. MTP modules are counted
// where with_mtp: their projection, their block and the head once more each.
double forward_flops_per_token(const ModelConfig& config, int64_t sequence_length, bool with_mtp);

// Three times the forward pass; recomputation is not counted.
double training_flops_per_token(const ModelConfig& config, int64_t sequence_length);

}  // namespace minke
