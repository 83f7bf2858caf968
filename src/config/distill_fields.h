#pragma once
// The fields of a recipe of distillation, each listed once.

#include "config/distill_config.h"
#include "config/grpo_fields.h"

namespace minke {

template <>
struct EnumNames<DistillMethod> {
  static constexpr std::array<std::string_view, 2> names = {"samples", "on_policy"};
};

template <typename Visit>
void visit_fields(DistillConfig& c, Visit&& visit) {
  visit(Field{"name", "what the run is called in reports"}, c.name);
  visit(Field{"output", "the run's folder"}, c.output);
  visit(Field{"model", "the student: a Hugging Face directory, a run's folder or a GGUF file"},
        c.model);
  visit(Field{"method",
              "samples: fine-tuning on the teacher's right answers; on_policy: the student's own "
              "answers, judged token by token"},
        c.method);
  visit(Field{"seed", "of the samples and their order"}, c.seed);
  visit(Field{"compute", "dtype of the student's matrix products"}, c.compute);
}

template <typename Visit>
void visit_fields(TeacherConfig& c, Visit&& visit) {
  visit(
      Field{"model",
            "a Hugging Face directory, a run's folder or a GGUF file; with url, the server's name "
            "of the model"},
      c.model);
  visit(Field{"url", "samples: a server that speaks OpenAI's interface, \"http://host:8080/v1\""},
        c.url);
  visit(Field{"api_key_env", "name of the environment variable with the server's key"},
        c.api_key_env);
  visit(Field{"chat", "problems are a user's turns; otherwise text to go on with"}, c.chat);
  visit(Field{"prompt_template", "text around a problem's prompt, which stands for {}"},
        c.prompt_template);
  visit(Field{"answer_prefix", "what every answer is made to begin with, <think> for instance"},
        c.answer_prefix);
  visit(Field{"parameters",
              "active parameters of a served model, 2 operations a token each; 0: not counted", 0,
              1e15},
        c.parameters);
  visit(Field{"parallel", "requests to the server at once", 1, 256}, c.parallel);
  visit(Field{"attempts", "at a request that the server refuses for a time (429, 5xx)", 1, 100},
        c.attempts);
  visit(Field{"timeout_seconds", "that the server has for an answer", 1e-3, 86400},
        c.timeout_seconds);
}

template <typename Visit>
void visit_fields(DistillSamplesConfig& c, Visit&& visit) {
  visit(Field{"problems", "of the training split", 1, 1e9}, c.problems);
  visit(Field{"per_problem", "answers to each by the teacher", 1, 1e5}, c.per_problem);
  visit(Field{"keep", "right answers of a problem that are kept, at most", 1, 1e5}, c.keep);
  visit(Field{"temperature", "of the teacher's answers; 0: greedy", 0, 100}, c.temperature);
  visit(Field{"top_p", "the most likely tokens up to this probability", 1e-6, 1}, c.top_p);
  visit(Field{"max_prompt_tokens", "of the teacher; a longer prompt is an error", 1, 0x1p24},
        c.max_prompt_tokens);
  visit(Field{"max_tokens", "of an answer, by the teacher's tokenizer", 1, 0x1p24}, c.max_tokens);
  visit(Field{"sequences", "answers that grow at once", 1, 1e5}, c.sequences);
  visit(Field{"parse_special",
              "<think> and other added tokens of the student, written in prompts and answers, are "
              "tokens"},
        c.parse_special);
}

template <typename Visit>
void visit_fields(DistillSftConfig& c, Visit&& visit) {
  visit(Field{"epochs", "passes over the samples", 0, 1e6}, c.epochs);
  visit(Field{"max_tokens", "of a sample; longer ones are left out", 1, 0x1p24}, c.max_tokens);
  visit(Field{"batch_tokens", "of a step, prompts included", 1, 0x1p40}, c.batch_tokens);
  visit(Field{"micro_batch_tokens", "in memory at once", 1, 0x1p24}, c.micro_batch_tokens);
}

template <typename Visit>
void visit_fields(DistillRolloutConfig& c, Visit&& visit) {
  visit(Field{"prompt_template", "text around a problem's prompt, which stands for {}"},
        c.prompt_template);
  visit(Field{"chat", "problems are a user's turns of the student's chat template"}, c.chat);
  visit(Field{"max_prompt_tokens", "a longer prompt is an error", 1, 0x1p24}, c.max_prompt_tokens);
  visit(Field{"max_tokens", "of an answer", 1, 0x1p24}, c.max_tokens);
  visit(Field{"sequences", "answers that grow at once", 1, 1e5}, c.sequences);
}

template <typename Visit>
void visit_fields(OnPolicyConfig& c, Visit&& visit) {
  visit(Field{"steps", "steps: the student's answers, and one update from them"}, c.steps);
  visit(Field{"prompts", "problems of a step", 1, 1e6}, c.prompts);
  visit(Field{"group", "answers to each problem", 1, 1e5}, c.group);
  visit(Field{"temperature", "of the answers, and of both distributions", 1e-2, 100},
        c.temperature);
  visit(Field{"micro_batch_tokens", "tokens in memory at once, the teacher's logits with them", 1,
              0x1p24},
        c.micro_batch_tokens);
  visit(Field{"warmup_steps", "linear rise of the learning rate"}, c.warmup_steps);
  visit(Field{"final_factor", "of the learning rate, which falls linearly to it", 0, 1},
        c.final_factor);
}

template <typename Visit>
void visit_sections(DistillConfig& c, Visit&& visit) {
  visit("", c);
  visit("teacher", c.teacher);
  visit("samples", c.samples);
  visit("sft", c.sft);
  visit("schedule", c.schedule);
  visit("rollout", c.rollout);
  visit("on_policy", c.on_policy);
  visit("optimizer", c.optimizer);
  visit("evaluation", c.evaluation);
  visit("checkpoint", c.checkpoint);
  visit("task", c.task);
  visit("reward", c.reward);
  visit("sandbox", c.sandbox);
  visit("cost", c.cost);
}

}  // namespace minke
