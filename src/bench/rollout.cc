#include "bench/rollout.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/machine.h"
#include "bench/random_sequences.h"
#include "bench/report_line.h"
#include "post/rollout.h"

namespace minke {
namespace {

// Decoding steps by themselves, each adding a token to every sequence.
class Decoding {
 public:
  Decoding(const std::string& path, const RolloutBench& options)
      : options_(options),
        source_(ModelSource::open(path)),
        quantized_(quantize(source_, options)),
        sequences_(source_.config(), weights(), load_options(options), options.answers) {}

  // Seconds of growing all answers.
  double run() {
    const AttentionForm form = options_.exact ? AttentionForm::expanded : AttentionForm::absorbed;
    double seconds = 0;
    for (int64_t i = 0; i < options_.tokens; ++i)
      seconds += sequences_.forward(options_.prompt_tokens + i, 1, form);
    return seconds;
  }

 private:
  static std::unique_ptr<QuantizedSource> quantize(const ModelSource& source,
                                                   const RolloutBench& options) {
    if (!options.quantization) return nullptr;
    auto quantized =
        std::make_unique<QuantizedSource>(source.config(), source, *options.quantization);
    quantized->refresh();
    return quantized;
  }
  const WeightSource& weights() const {
    if (quantized_) return *quantized_;
    return source_;
  }

  static LoadOptions load_options(const RolloutBench& options) {
    LoadOptions load;
    load.compute = DType::bf16;
    load.max_tokens = pages_of(options.prompt_tokens + options.tokens) * page_tokens;
    load.cache_tokens = load.max_tokens * options.answers;
    load.batch_tokens = load.batch_logits = options.answers;
    load.quiet = true;
    return load;
  }

  const RolloutBench& options_;
  ModelSource source_;
  std::unique_ptr<QuantizedSource> quantized_;
  RandomSequences sequences_;
};

class Rollouts {
 public:
  Rollouts(const std::string& path, const RolloutBench& options)
      : options_(options),
        source_(ModelSource::open(path)),
        tokenizer_(source_.tokenizer()),
        rollout_(source_.config(), source_, DType::bf16, tokenizer_, rollout_options(options)) {}

  // Seconds of sampling all answers to new prompts.
  double run() {
    std::vector<std::vector<int32_t>> prompts;
    std::vector<RolloutRequest> requests;
    for (int64_t i = 0; i < options_.answers; i += options_.group) prompts.push_back(prompt());
    for (int64_t i = 0; i < options_.answers; ++i)
      requests.push_back({prompts[i / options_.group], random_.next()});
    const double start = now_seconds();
    rollout_.sample(requests, 1.0);
    return now_seconds() - start;
  }

 private:
  static RolloutOptions rollout_options(const RolloutBench& options) {
    RolloutOptions rollout;
    rollout.max_prompt_tokens = options.prompt_tokens;
    rollout.max_answer_tokens = options.tokens;
    rollout.sequences = options.answers;
    rollout.exact = options.exact;
    rollout.ignore_eos = true;
    rollout.quantization = options.quantization;
    return rollout;
  }

  std::vector<int32_t> prompt() {
    std::vector<int32_t> tokens(static_cast<size_t>(options_.prompt_tokens));
    for (int32_t& token : tokens)
      token = static_cast<int32_t>(random_.below(static_cast<uint64_t>(tokenizer_.vocab_size())));
    return tokens;
  }

  const RolloutBench& options_;
  ModelSource source_;
  Tokenizer tokenizer_;
  Rollout rollout_;
  Random random_{1};
};

}  // namespace

void bench_rollout(const std::string& model, const RolloutBench& options) {
  Rollouts rollouts(model, options);
  Decoding decoding(model, options);
  rollouts.run();
  decoding.run();
  double rollout = std::numeric_limits<double>::infinity(), decode = rollout;
  for (int i = 0; i < options.repeat; ++i) {
    rollout = std::min(rollout, rollouts.run());
    decode = std::min(decode, decoding.run());
  }
  const double tokens = static_cast<double>(options.answers * options.tokens);
  nlohmann::ordered_json line = begin_report(model);
  line.update(
      {{"prompt_tokens", options.prompt_tokens},
       {"tokens", options.tokens},
       {"answers", options.answers},
       {"group", options.group},
       {"mode", options.exact ? "exact" : "fast"},
       {"quantization", options.quantization ? quantization_name(*options.quantization) : "none"},
       {"rollout_tokens_per_second", tokens / rollout},
       {"decode_tokens_per_second", tokens / decode},
       {"ratio", decode / rollout}});
  print_report(line, options.json);
}

}  // namespace minke
