#pragma once
// The fields of a recipe of supervised fine-tuning, each listed once.

#include "config/lora_fields.h"
#include "config/sft_config.h"
#include "config/train_fields.h"

namespace minke {

template <typename Visit>
void visit_fields(SftConfig& c, Visit&& visit) {
  visit(Field{"name", "what the run is called in reports"}, c.name);
  visit(Field{"output", "the run's folder"}, c.output);
  visit(Field{"model", "where it starts: a Hugging Face directory, a run's folder or a GGUF file"},
        c.model);
  visit(Field{"epochs", "passes over the data", 0, 1e6}, c.epochs);
  visit(Field{"max_tokens", "ends the run earlier; 0: no limit"}, c.max_tokens);
  visit(Field{"compute", "dtype of the matrix products; sums and master weights are f32"},
        c.compute);
  visit(Field{"recompute", "compute some activations again instead of keeping them"}, c.recompute);
  visit(Field{"on_non_finite", "what to do when the loss or the gradient is not finite"},
        c.on_non_finite);
  visit(Field{"log_every_steps", "steps from one line of metrics.jsonl to the next", 1},
        c.log_every_steps);
}

template <typename Visit>
void visit_fields(SftDataConfig& c, Visit&& visit) {
  visit(
      Field{"train", "JSONL files with how often an epoch has each: \"chat.jsonl:2, more.jsonl\""},
      c.train);
  visit(Field{"validation", "the same for validation; empty: none"}, c.validation);
  visit(Field{"chat_template", "a family's name, qwen2 for instance; empty: the model's own"},
        c.chat_template);
  visit(Field{"max_tokens", "of a conversation; longer ones are left out", 1, 0x1p24},
        c.max_tokens);
  visit(Field{"seed", "of the order"}, c.seed);
}

template <typename Visit>
void visit_fields(SftBatchConfig& c, Visit&& visit) {
  visit(Field{"tokens", "of a step, prompts included", 1, 0x1p40}, c.tokens);
  visit(Field{"micro_batch_tokens", "in memory at once; gradients accumulate over them", 1, 0x1p24},
        c.micro_batch_tokens);
}

template <typename Visit>
void visit_fields(SftBalanceConfig& c, Visit&& visit) {
  visit(Field{"bias_update_speed", "step of the router's bias after each batch; 0: off", 0, 1},
        c.bias_update_speed);
  visit(Field{"sequence_balance_alpha", "weight of the sequence-wise balance loss", 0, 10},
        c.sequence_balance_alpha);
  visit(Field{"mtp_lambda", "weight of the MTP modules' loss; 0: they stay as they are", 0, 10},
        c.mtp_lambda);
}

template <typename Visit>
void visit_sections(SftConfig& c, Visit&& visit) {
  visit("", c);
  visit("data", c.data);
  visit("batch", c.batch);
  visit("optimizer", c.optimizer);
  visit("schedule", c.schedule);
  visit("balance", c.balance);
  visit("lora", c.lora);
  visit("checkpoint", c.checkpoint);
  visit("validation", c.validation);
  visit("cost", c.cost);
}

}  // namespace minke
