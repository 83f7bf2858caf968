#include "infer/generate.h"

#include "base/machine.h"

namespace minke {

Generation generate(LoadedModel& model, std::span<const int32_t> prompt,
                    const GenerationOptions& options,
                    const std::function<void(int32_t token)>& on_token) {
  if (prompt.empty()) fail_usage("the prompt is empty; give at least one token");
  const int32_t eos =
      model.tokenizer().eos_id().value_or(static_cast<int32_t>(model.config().eos_token_id));
  Generation result;
  Random random(options.sampling.seed, hash_name("generate"));
  model.clear();
  double start = now_seconds();
  std::span<const float> logits = model.next_logits(prompt, AttentionForm::expanded);
  result.prompt_seconds = now_seconds() - start;
  start = now_seconds();
  result.finish_reason = "length";
  while (static_cast<int64_t>(result.tokens.size()) < options.max_tokens) {
    // Rows beyond the tokenizer's last id are padding of the embedding.
    const size_t known = static_cast<size_t>(model.tokenizer().vocab_size());
    const int32_t token = sample_token(logits.first(known), options.sampling, random);
    if (token == eos) {
      result.finish_reason = "stop";
      break;
    }
    result.tokens.push_back(token);
    on_token(token);
    if (static_cast<int64_t>(result.tokens.size()) < options.max_tokens)
      logits = model.next_logits({&token, 1}, AttentionForm::absorbed);
  }
  result.generation_seconds = now_seconds() - start;
  return result;
}

}  // namespace minke
