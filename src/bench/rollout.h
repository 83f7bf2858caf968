#pragma once
// What sampling answers for reinforcement learning costs beside the bare forward passes.

#include <cstdint>
#include <optional>
#include <string>

#include "quant/formats.h"

namespace minke {

struct RolloutBench {
  int64_t prompt_tokens = 16;
  int64_t tokens = 48;    // of each answer
  int64_t answers = 128;  // that grow at once
  int64_t group = 16;     // answers to one prompt
  bool exact = true;      // attention as the trainer computes it
  // Of the weights that both compute with; nothing: as they are.
  std::optional<QuantizationType> quantization{};
  int repeat = 5;
  bool json = false;
};

// Times rollouts of random prompts (post/rollout.h: prompts read, tokens sampled, log-probabilities
// taken) in turns with decoding steps alone: the same model in bf16 or quantised, batch, lengths
// and form of attention. Both count the answers' tokens.
void bench_rollout(const std::string& model, const RolloutBench& options);

}  // namespace minke
