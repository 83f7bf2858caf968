#pragma once
// Whole forward passes of inference, by this machine's limits.

#include <cstdint>
#include <string>

namespace minke {

struct InferenceBench {
  int64_t tokens = 0;   // prefill: of a prompt; decode: steps that are timed
  int64_t context = 0;  // tokens in the cache before them, random numbers
  int64_t batch = 1;    // sequences at once
  int repeat = 5;       // prompts that are timed
  bool json = false;
};

// Times reading prompts of random tokens, all sequences in one batch. The limit is the measured
// peak of int8 (of bf16 for models of plain numbers).
void bench_prefill(const std::string& model, const InferenceBench& options);

// Times steps that add one random token to each sequence. The limit is the measured memory
// bandwidth by the bytes that a step must read: packed weights, of experts those that the batch
// chose, and the cached keys.
void bench_decode(const std::string& model, const InferenceBench& options);

}  // namespace minke
