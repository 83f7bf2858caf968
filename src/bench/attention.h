#pragma once
// Attention alone, as in training.

#include <cstdint>
#include <string>
#include <vector>

namespace minke {

// Times causal attention forward and backward in bf16, with the heads and widths of a preset's
// expanded MLA, for sequences of these lengths (several where a step of 2,048 tokens has several),
// and prints rates as fractions of the measured peak, and the memory beside what its tensors plan.
// Error if the preset has no MLA.
void bench_attention(const std::string& preset, std::vector<int64_t> lengths, bool json);

}  // namespace minke
