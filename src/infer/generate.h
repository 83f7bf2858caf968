#pragma once
// One prompt to one continuation.

#include <functional>
#include <string>

#include "infer/engine.h"

namespace minke {

struct GenerationOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 128;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_tokens;  // beside the tokenizer's EOS
  std::shared_ptr<TokenGrammar> grammar;
  int64_t draft_tokens = 0;  // see EngineOptions
};

struct Generation {
  std::vector<int32_t> tokens;
  std::string text;
  FinishReason finish = FinishReason::none;
  double prompt_seconds = 0;  // until the first token
  double generation_seconds = 0;
};

// Calls on_text with each piece of text as it comes. prompt: at least one token; prompt and
// max_tokens must fit into the model's context.
Generation generate(LoadedModel& model, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                    const GenerationOptions& options,
                    const std::function<void(const std::string& text)>& on_text);

}  // namespace minke
