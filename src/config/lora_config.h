#pragma once
// LoRA (Hu et al. 2021, 2106.09685) as recipes hold it, and which matrices it adapts. docs/lora.md
// explains the settings.

#include <cstdint>
#include <string>
#include <vector>

#include "config/parameters.h"
#include "config/train_config.h"

namespace minke {

// [lora]: W' = W + alpha/rank · B·A instead of weights that are trained whole.
struct LoraConfig {
  int64_t rank = 0;  // 0: all weights are trained
  double alpha = 16.0;
  std::string targets = "all-linear";  // names of linear layers, "q_proj, v_proj"
  std::string adapter;                 // PEFT's folder that it starts from; empty: B = 0
  uint64_t seed = 1;                   // of A

  bool is_on() const { return rank > 0; }
};

// The matrices that have an adapter, in the order of list_parameters(): those of the decoder's
// layers whose module is a target. The head, the router and MTP modules never have one. A target
// that no such layer has is a usage Error that lists those that there are.
std::vector<Parameter> lora_matrices(const ModelConfig& model, const LoraConfig& lora);

// Their A [rank, in] and B [out, rank]: "model.layers.0.self_attn.q_proj.lora_A.weight", as PEFT
// has it behind "base_model.model.".
std::vector<Parameter> lora_parameters(const std::vector<Parameter>& matrices, int64_t rank);
std::string lora_name(const std::string& matrix, char a_or_b);

// The names of the modules that the settings mean, sorted.
std::vector<std::string> lora_modules(const ModelConfig& model, const LoraConfig& lora);

// A usage Error where the settings contradict each other or the optimiser's.
void check_lora_config(const LoraConfig& lora, const OptimizerConfig& optimizer,
                       const std::string& where);

}  // namespace minke
