#pragma once
// The fields of a training recipe, each listed once: key, bounds, meaning; and its sections in
// order.

#include "config/model_fields.h"
#include "config/train_config.h"

namespace minke {

template <>
struct EnumNames<OptimizerKind> {
  static constexpr std::array<std::string_view, 2> names = {"adamw", "muon"};
};
template <>
struct EnumNames<ScheduleKind> {
  static constexpr std::array<std::string_view, 4> names = {"constant", "cosine", "wsd",
                                                            "deepseek_v3"};
};
template <>
struct EnumNames<ComputeDType> {
  static constexpr std::array<std::string_view, 2> names = {"f32", "bf16"};
};
template <>
struct EnumNames<NonFiniteAction> {
  static constexpr std::array<std::string_view, 2> names = {"stop", "skip"};
};

template <typename Visit>
void visit_fields(TrainConfig& c, Visit&& visit) {
  visit(Field{"name", "what the run is called in reports"}, c.name);
  visit(Field{"output", "the run's folder"}, c.output);
  visit(Field{"total_tokens", "tokens to train on", 1}, c.total_tokens);
  visit(Field{"seed", "of the initial weights"}, c.seed);
  visit(Field{"compute", "dtype of the matrix products; sums and master weights are f32"},
        c.compute);
  visit(Field{"recompute",
              "compute norms, MLA up-projections and SwiGLU again in the backward pass "
              "instead of keeping them"},
        c.recompute);
  visit(Field{"on_non_finite", "what to do when the loss or the gradient is not finite"},
        c.on_non_finite);
  visit(Field{"log_every_steps", "steps from one line of metrics.jsonl to the next", 1},
        c.log_every_steps);
}

// [model] beside the model's own fields: where those come from.
struct ModelOrigin {
  std::string& preset;
  std::string& path;
  bool& weights;
  std::string& unknown_keys;
};

template <typename Visit>
void visit_fields(ModelOrigin& c, Visit&& visit) {
  visit(Field{"preset", "a built-in model, 12m for instance; the keys below override it"},
        c.preset);
  visit(Field{"path", "instead of a preset: a config.json, a folder with one, or a run"}, c.path);
  visit(Field{"weights", "begin with the weights of path, to go on with its pre-training"},
        c.weights);
  visit(Field{"unknown_keys", "keys of that config.json without meaning for Minke, as JSON"},
        c.unknown_keys);
}

template <typename Visit>
void visit_fields(DataConfig& c, Visit&& visit) {
  visit(Field{"path", "folder made by `minke data prepare`"}, c.path);
  visit(Field{"sequence_length", "tokens of a training sequence", 1, 0x1p24}, c.sequence_length);
  visit(Field{"document_mask", "a sequence's documents see only themselves, from position 0 on"},
        c.document_mask);
  visit(Field{"seed", "of the shuffle"}, c.seed);
}

template <typename Visit>
void visit_fields(BatchConfig& c, Visit&& visit) {
  visit(Field{"sequences", "sequences of a step", 1, 0x1p24}, c.sequences);
  visit(Field{"initial_sequences", "sequences of the first step; 0: no ramp", 0, 0x1p24},
        c.initial_sequences);
  visit(
      Field{"ramp_tokens", "tokens over which the batch grows from initial_sequences to sequences"},
      c.ramp_tokens);
  visit(Field{"micro_batch", "sequences in memory at once; gradients accumulate over them", 1,
              0x1p24},
        c.micro_batch);
}

// The largest decay of a running mean: with 1 it would never take anything in.
constexpr double longest_mean = 0.999999;

template <typename Visit>
void visit_fields(OptimizerConfig& c, Visit&& visit) {
  visit(Field{"kind",
              "muon takes the matrices and leaves embedding, head, norms and router to AdamW"},
        c.kind);
  visit(Field{"learning_rate", "AdamW's, at its peak", 0, 10}, c.learning_rate);
  visit(Field{"muon_learning_rate", "Muon's, at its peak; 0: the same as AdamW's", 0, 10},
        c.muon_learning_rate);
  visit(Field{"muon_momentum", "Muon's momentum", 0, longest_mean}, c.muon_momentum);
  visit(Field{"muon_steps",
              "Muon's Newton-Schulz steps, the last fifth of which settle the singular values at 1",
              5, 100},
        c.muon_steps);
  visit(Field{"beta1", "decay of AdamW's first moment", 0, longest_mean}, c.beta1);
  visit(Field{"beta2", "decay of AdamW's second moment", 0, longest_mean}, c.beta2);
  visit(Field{"epsilon", "added to the root of the second moment", 1e-20, 1}, c.epsilon);
  visit(Field{"weight_decay", "decoupled, times the learning rate; not on norms", 0, 10},
        c.weight_decay);
  visit(Field{"gradient_clip", "largest global norm of the gradient; 0: no limit", 0, 1e6},
        c.gradient_clip);
  visit(Field{"moment_dtype", "dtype of AdamW's moments: f32 or bf16"}, c.moment_dtype);
  visit(Field{"ema_decay", "decay of the running mean of the weights; 0: none", 0, longest_mean},
        c.ema_decay);
}

template <typename Visit>
void visit_fields(ScheduleConfig& c, Visit&& visit) {
  visit(Field{"kind", "shape of the factor on the learning rates"}, c.kind);
  visit(Field{"warmup_tokens", "linear rise from 0"}, c.warmup_tokens);
  visit(Field{"final_factor", "where the decay ends", 0, 1}, c.final_factor);
  visit(Field{"decay_start_tokens", "deepseek_v3: where its cosine begins"}, c.decay_start_tokens);
  visit(Field{"decay_tokens", "wsd: length of its final decay; deepseek_v3: length of its cosine"},
        c.decay_tokens);
  visit(Field{"last_factor", "deepseek_v3: factor at the very end", 0, 1}, c.last_factor);
  visit(Field{"last_tokens", "deepseek_v3: how long that is"}, c.last_tokens);
}

template <typename Visit>
void visit_fields(BalanceConfig& c, Visit&& visit) {
  visit(Field{"bias_update_speed", "step of the router's bias after each batch; 0: off", 0, 1},
        c.bias_update_speed);
  visit(Field{"bias_freeze_tokens", "no such step during the last so many tokens"},
        c.bias_freeze_tokens);
  visit(Field{"sequence_balance_alpha", "weight of the sequence-wise balance loss", 0, 10},
        c.sequence_balance_alpha);
  visit(Field{"mtp_lambda", "weight of the multi-token prediction loss", 0, 10}, c.mtp_lambda);
  visit(Field{"mtp_lambda_late", "the same from mtp_late_tokens on", 0, 10}, c.mtp_lambda_late);
  visit(Field{"mtp_late_tokens", "when that begins; 0: never"}, c.mtp_late_tokens);
}

template <typename Visit>
void visit_fields(CheckpointConfig& c, Visit&& visit) {
  visit(Field{"every_tokens", "tokens between checkpoints; 0: only at the end and on interruption"},
        c.every_tokens);
  visit(Field{"keep", "checkpoints to keep", 1, 1e6}, c.keep);
}

template <typename Visit>
void visit_fields(ValidationConfig& c, Visit&& visit) {
  visit(Field{"every_tokens", "tokens between validations; 0: only at the end"}, c.every_tokens);
  visit(Field{"max_tokens", "tokens of the validation split to use; 0: all"}, c.max_tokens);
}

template <typename Visit>
void visit_fields(CostConfig& c, Visit&& visit) {
  visit(Field{"currency", "of the prices"}, c.currency);
  visit(Field{"per_core_hour", "price of one CPU core for an hour", 0, 1e6}, c.per_core_hour);
  visit(Field{"per_gpu_hour", "price of one GPU for an hour", 0, 1e6}, c.per_gpu_hour);
  visit(Field{"per_kwh", "price of a kilowatt-hour", 0, 1e6}, c.per_kwh);
}

// Calls visit(name, settings) for each section of a recipe in the order of writing; "" is the top.
template <typename Visit>
void visit_sections(TrainConfig& c, Visit&& visit) {
  ModelOrigin source{c.preset, c.model_path, c.model_weights, c.model.unknown_keys};
  visit("", c);
  visit("model", source);
  visit("model", c.model);
  visit("model.rope_scaling", c.model.rope_scaling);
  visit("data", c.data);
  visit("batch", c.batch);
  visit("optimizer", c.optimizer);
  visit("schedule", c.schedule);
  visit("balance", c.balance);
  visit("checkpoint", c.checkpoint);
  visit("validation", c.validation);
  visit("cost", c.cost);
}

// Calls visit(key, field, member) for every key of a recipe, "data.path".
template <typename Visit>
void visit_keys(TrainConfig& c, Visit&& visit) {
  visit_sections(c, [&](const std::string& section, auto& settings) {
    visit_fields(settings, [&](const Field& field, auto& member) {
      visit(section.empty() ? std::string(field.name) : fmt::format("{}.{}", section, field.name),
            field, member);
    });
  });
}

}  // namespace minke
