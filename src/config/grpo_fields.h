#pragma once
// The fields of a recipe of reinforcement learning, each listed once.

#include "config/grpo_config.h"
#include "config/lora_fields.h"
#include "config/task_fields.h"
#include "config/train_fields.h"

namespace minke {

template <>
struct EnumNames<RolloutMode> {
  static constexpr std::array<std::string_view, 2> names = {"exact", "fast"};
};
template <>
struct EnumNames<RolloutQuantization> {
  static constexpr std::array<std::string_view, 3> names = {"none", "q8_0", "q4_0"};
};
template <>
struct EnumNames<AdvantageScale> {
  static constexpr std::array<std::string_view, 2> names = {"deviation", "none"};
};
template <>
struct EnumNames<LossNormalization> {
  static constexpr std::array<std::string_view, 3> names = {"sequence", "token", "constant"};
};

template <typename Visit>
void visit_fields(GrpoConfig& c, Visit&& visit) {
  visit(Field{"name", "what the run is called in reports"}, c.name);
  visit(Field{"output", "the run's folder"}, c.output);
  visit(Field{"model", "where it starts: a Hugging Face directory, a run's folder or a GGUF file"},
        c.model);
  visit(Field{"steps", "steps: rollouts, verdicts and the updates from them", 1}, c.steps);
  visit(Field{"seed", "of the samples and their order"}, c.seed);
  visit(Field{"compute", "dtype of the matrix products"}, c.compute);
  visit(Field{"samples_every_steps", "steps from one line of samples.jsonl to the next", 1},
        c.samples_every_steps);
}

template <typename Visit>
void visit_fields(GrpoRolloutConfig& c, Visit&& visit) {
  visit(Field{"prompts", "problems of a step", 1, 1e6}, c.prompts);
  visit(Field{"group", "answers to each problem", 1, 1e5}, c.group);
  visit(Field{"max_prompt_tokens", "a longer prompt is an error", 1, 0x1p24}, c.max_prompt_tokens);
  visit(Field{"max_tokens", "of an answer", 1, 0x1p24}, c.max_tokens);
  visit(
      Field{"temperature", "of the samples, and of the probabilities that are trained", 1e-2, 100},
      c.temperature);
  visit(Field{"mode",
              "exact: the trainer's arithmetic, bit for bit; fast: generated tokens absorbed, the "
              "difference corrected"},
        c.mode);
  visit(Field{"quantization",
              "fast rollouts: the format of the weights that are sampled with; none: the trainer's "
              "own"},
        c.quantization);
  visit(Field{"sequences", "answers that grow at once", 1, 1e5}, c.sequences);
  visit(Field{"prompt_template", "text around a problem's prompt, which stands for {}"},
        c.prompt_template);
  visit(Field{"chat", "that text is a user's turn of the model's chat template"}, c.chat);
  visit(Field{"stop", "text that ends an answer and is not judged; empty: none"}, c.stop);
  visit(Field{"dynamic_sampling",
              "DAPO: problems whose answers all have the same reward are replaced by others"},
        c.dynamic_sampling);
  visit(Field{"max_rounds", "of dynamic sampling", 1, 1000}, c.max_rounds);
}

template <typename Visit>
void visit_fields(GrpoLossConfig& c, Visit&& visit) {
  visit(Field{"advantage_scale",
              "what centred rewards are divided by: their deviation, or none (Dr. GRPO)"},
        c.advantage_scale);
  visit(Field{"clip_low", "the ratio's gradient ends below 1 minus this", 0, 1}, c.clip_low);
  visit(Field{"clip_high", "the ratio's gradient ends above 1 plus this; DAPO: 0.28", 0, 1e6},
        c.clip_high);
  visit(Field{"kl_coefficient", "weight of the divergence from the reference model", 0, 100},
        c.kl_coefficient);
  visit(Field{"unbiased_kl", "V3.2: its estimate times the ratio"}, c.unbiased_kl);
  visit(Field{"reference_every_steps",
              "steps after which the reference becomes the model of that time; 0: never"},
        c.reference_every_steps);
  visit(Field{"normalization",
              "an answer's sum by its length (the paper), all by all tokens (DAPO), or by "
              "max_tokens (Dr. GRPO)"},
        c.normalization);
  visit(Field{"overlong_filter", "answers that were cut off teach nothing"}, c.overlong_filter);
  visit(Field{"off_policy_threshold",
              "V3.2: wrong answers further than this from the model are left out; 0: none", 0, 100},
        c.off_policy_threshold);
  visit(Field{"importance_cap", "fast rollouts: largest correction of a token", 0, 1e6},
        c.importance_cap);
}

template <typename Visit>
void visit_fields(GrpoUpdateConfig& c, Visit&& visit) {
  visit(Field{"minibatches", "updates that a step's answers are split into", 1, 1e6},
        c.minibatches);
  visit(Field{"epochs", "passes over a step's answers", 1, 1000}, c.epochs);
  visit(Field{"micro_batch_tokens", "tokens in memory at once", 1, 0x1p24}, c.micro_batch_tokens);
  visit(Field{"warmup_steps", "linear rise of the learning rate"}, c.warmup_steps);
  visit(Field{"final_factor", "of the learning rate, which falls linearly to it", 0, 1},
        c.final_factor);
}

template <typename Visit>
void visit_fields(GrpoEvaluationConfig& c, Visit&& visit) {
  visit(Field{"every_steps", "steps between tests on held-out problems; 0: first and last only"},
        c.every_steps);
  visit(Field{"problems", "held-out problems of a test", 1, 1e6}, c.problems);
  visit(Field{"temperature", "of their one sample each; greedy ones come beside it", 0, 100},
        c.temperature);
}

template <typename Visit>
void visit_fields(GrpoCheckpointConfig& c, Visit&& visit) {
  visit(
      Field{
          "every_steps",
          "steps between checkpoints, which a run that is killed goes on from; 0: only at the end"},
      c.every_steps);
  visit(Field{"keep", "checkpoints to keep", 1, 1e6}, c.keep);
}

template <typename Visit>
void visit_sections(GrpoConfig& c, Visit&& visit) {
  visit("", c);
  visit("rollout", c.rollout);
  visit("loss", c.loss);
  visit("update", c.update);
  visit("lora", c.lora);
  visit("optimizer", c.optimizer);
  visit("evaluation", c.evaluation);
  visit("checkpoint", c.checkpoint);
  visit("task", c.task);
  visit("reward", c.reward);
  visit("sandbox", c.sandbox);
  visit("cost", c.cost);
}

}  // namespace minke
