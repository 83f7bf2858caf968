#pragma once
// Whole training steps.

#include <string>

namespace minke {

// Trains a preset ("12m" or "107m"; another name is an Error) on random tokens, 8 sequences of 256
// a step, in bf16 with AdamW, and prints the speed of `steps` steps after some that are not timed;
// with `profiling` also where their time went.
void bench_train(const std::string& preset, int steps, bool json, bool profiling);

}  // namespace minke
