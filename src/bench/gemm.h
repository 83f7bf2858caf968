#pragma once
// The matrix products of training, alone: forward, input gradient and weight gradient.

#include <string>

namespace minke {

// Times the bf16 products of a preset's layers ("12m" or "107m"; another name is an Error) for a
// step of 8 × 256 tokens and prints their rates as fractions of the measured peak.
void bench_gemm(const std::string& preset, bool json);

}  // namespace minke
