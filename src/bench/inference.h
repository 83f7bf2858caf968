#pragma once
// Whole forward passes of inference, by this machine's limits.

#include <cstdint>
#include <string>

namespace minke {

struct InferenceBench {
  int64_t tokens = 0;        // prefill: of a prompt; decode: steps that are timed
  int64_t context = 0;       // tokens in the cache before them, random numbers
  int64_t memory_bytes = 0;  // that the model may take; 0: what this machine grants
  int64_t batch = 1;         // sequences at once
  int repeat = 5;            // prompts that are timed
  // Decode: the chance, in (0, 1], that a drafted token is taken; 0: nothing is drafted. Simulated:
  // no draft is compared with what the model says.
  double simulated_acceptance = 0;
  int64_t draft_tokens = 1;  // of each sequence a step, where acceptance is simulated
  bool json = false;
  bool profile = false;  // also tell where the time of prompts or steps went
};

// Times reading prompts of random tokens, all sequences in one batch. The limit is the measured
// peak of int8 (of bf16 for models of plain numbers).
void bench_prefill(const std::string& model, const InferenceBench& options);

// Times steps that add one random token to each sequence. The limit is the measured memory
// bandwidth by the bytes that a step must read: packed weights, of experts those that the batch
// chose, and the cached keys. With a context, steps on empty ones are timed in turns with these;
// with simulated acceptance, steps that check drafts are.
void bench_decode(const std::string& model, const InferenceBench& options);

}  // namespace minke
