#include "post/distill_teacher.h"

#include <algorithm>

#include "infer/engine.h"
#include "plan/flops.h"
#include "post/prompt.h"
#include "post/rollout.h"

namespace minke {
namespace {

LoadOptions load_options(const DistillSamplesConfig& samples, const ModelSource& source) {
  constexpr int64_t prompt_rows = 512;  // of one forward pass
  LoadOptions load;
  load.max_tokens = samples.max_prompt_tokens + samples.max_tokens;
  if (load.max_tokens > source.config().max_position_embeddings)
    fail_usage(
        "samples.max_prompt_tokens and samples.max_tokens are {} together, but {} handles {}",
        load.max_tokens, source.where(), source.config().max_position_embeddings);
  load.cache_tokens = samples.sequences * (pages_of(load.max_tokens) + 1) * page_tokens;
  load.batch_tokens = std::max(samples.sequences, prompt_rows);
  load.batch_logits = samples.sequences;
  return load;
}

// A model on disk, by the engine.
class LocalTeacher : public Teacher {
 public:
  explicit LocalTeacher(const DistillConfig& config)
      : config_(config),
        source_(ModelSource::open(config.teacher.model)),
        tokenizer_(source_.tokenizer()),
        model_(source_.config(), source_, load_options(config.samples, source_)) {
    if (config.teacher.chat) chat_ = source_.chat_template(tokenizer_);
  }

  void answer(std::span<const TeacherQuestion> questions, const Take& take) override {
    EngineOptions options;
    options.max_sequences = config_.samples.sequences;
    Engine engine(model_, tokenizer_, options);
    std::vector<TeacherAnswer> answers(questions.size());
    for (size_t i = 0; i < questions.size(); ++i)
      engine.submit(request_for(questions[i], answers[i], [&, i] { take(i, answers[i]); }));
    while (engine.step()) continue;
  }

 private:
  // The prompt with answer_prefix behind it, which is a part of what it has begun of the answer.
  Prompt encode(const Problem& problem) const {
    const std::string& prefix = config_.teacher.answer_prefix;
    const std::string text = fill_template(config_.teacher.prompt_template, problem);
    Prompt prompt;
    if (chat_) {
      prompt = make_prompt(text, tokenizer_, &*chat_);
      const std::vector<int32_t> tokens = tokenizer_.encode(prefix);
      prompt.tokens.insert(prompt.tokens.end(), tokens.begin(), tokens.end());
    } else {
      prompt = make_prompt(text + prefix, tokenizer_, nullptr);
      prompt.prefix = opened_thinking(text);
    }
    prompt.prefix += prefix;
    if (static_cast<int64_t>(prompt.tokens.size()) > config_.samples.max_prompt_tokens)
      fail_usage("the prompt of {} has {} tokens, samples.max_prompt_tokens is {}; raise it",
                 problem.id, prompt.tokens.size(), config_.samples.max_prompt_tokens);
    return prompt;
  }

  Request request_for(const TeacherQuestion& question, TeacherAnswer& answer,
                      std::function<void()> done) const {
    Prompt prompt = encode(*question.problem);
    answer.text = prompt.prefix;
    answer.prompt_tokens = static_cast<int64_t>(prompt.tokens.size());
    Request request;
    request.prompt = std::move(prompt.tokens);
    request.stop_tokens = std::move(prompt.stop_tokens);
    request.sampling.temperature = config_.samples.temperature;
    request.sampling.top_p = config_.samples.top_p;
    request.sampling.seed = question.seed;
    request.max_tokens = config_.samples.max_tokens;
    request.skip_special = false;  // the tags of thinking are part of the answer
    request.on_choice = [&answer](std::span<const float>, int32_t) { ++answer.tokens; };
    request.on_tokens = [this, &answer, done = std::move(done)](const TokenEvent& event) {
      answer.text += event.text;
      if (event.finish == FinishReason::none) return;
      if (event.finish == FinishReason::error) fail("an answer failed: {}", event.error);
      answer.truncated = event.finish == FinishReason::length;
      const int64_t tokens = answer.prompt_tokens + answer.tokens;
      answer.flops =
          static_cast<double>(tokens) * forward_flops_per_token(model_.config(), tokens, false);
      done();
    };
    return request;
  }

  DistillConfig config_;
  ModelSource source_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;
  LoadedModel model_;
};

}  // namespace

std::unique_ptr<Teacher> make_teacher(const DistillConfig& config) {
  if (!config.teacher.url.empty()) return make_served_teacher(config);
  return std::make_unique<LocalTeacher>(config);
}

}  // namespace minke
