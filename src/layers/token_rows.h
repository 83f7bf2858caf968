#pragma once
// Which rows of the activations are which tokens.

#include <vector>

#include "kernels/attention.h"

namespace minke {

// Tokens of one forward pass, rows of every activation.
struct TokenRows {
  Tensor positions;                          // i32 [T], of each row inside its sequence
  std::vector<AttentionSequence> sequences;  // rows of queries and of keys
  std::vector<int64_t> bounds = {};  // training: sequence s is rows [bounds[s], bounds[s + 1])
};

}  // namespace minke
