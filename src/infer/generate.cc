#include "infer/generate.h"

#include "base/machine.h"

namespace minke {

Generation generate(LoadedModel& model, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                    const GenerationOptions& options,
                    const std::function<void(const std::string& text)>& on_text) {
  EngineOptions engine_options;
  engine_options.max_sequences = 1;
  engine_options.draft_tokens = options.draft_tokens;
  Engine engine(model, tokenizer, engine_options);
  Generation result;
  const double start = now_seconds();
  double first = start;
  Request request;
  request.prompt.assign(prompt.begin(), prompt.end());
  request.sampling = options.sampling;
  request.max_tokens = options.max_tokens;
  request.stop = options.stop;
  request.stop_tokens = options.stop_tokens;
  request.grammar = options.grammar;
  request.on_tokens = [&](const TokenEvent& event) {
    if (result.tokens.empty()) first = now_seconds();
    result.tokens.insert(result.tokens.end(), event.tokens.begin(), event.tokens.end());
    result.text += event.text;
    result.finish = event.finish;
    if (!event.text.empty()) on_text(event.text);
    if (event.finish == FinishReason::error) fail("{}", event.error);
  };
  engine.submit(std::move(request));
  while (engine.step()) continue;
  result.prompt_seconds = first - start;
  result.generation_seconds = now_seconds() - first;
  return result;
}

}  // namespace minke
