#pragma once
// A model, a conversation and a person's lines: what `minke chat` does.

#include <optional>
#include <string>

#include "base/files.h"
#include "infer/sampler.h"
#include "tensor/dtype.h"

namespace minke {

struct ChatProgramOptions {
  std::optional<double> temperature, top_p;  // nothing: what is recommended for the model
  uint64_t seed = 0;
  std::string system;
  int64_t max_tokens = 0;    // of an answer; 0: what the context leaves
  int64_t context = 0;       // tokens of the conversation; 0: 8192, or the model's limit
  int64_t memory_bytes = 0;  // that the model may take; 0: what this machine grants
  bool no_think = false;
  std::optional<DType> compute;
};

// Reads lines from standard input until they end; answers go to standard output. Returns false if
// a line of a pipe was refused.
bool run_chat(const fs::path& model, const ChatProgramOptions& options);

}  // namespace minke
