#pragma once
// A recipe of supervised fine-tuning: what `minke sft RECIPE` reads from TOML. docs/sft.md explains
// the settings.

#include "config/lora_config.h"

namespace minke {

// [data]: JSONL files of conversations, "chat.jsonl:2, more.jsonl:0.5": each with how often an
// epoch has it.
struct SftDataConfig {
  std::string train, validation;
  std::string chat_template;  // a family's name; empty: the model's own
  int64_t max_tokens = 1024;  // of a conversation; longer ones are left out
  uint64_t seed = 1;          // of the order
};

// [batch]
struct SftBatchConfig {
  int64_t tokens = 8192;
  int64_t micro_batch_tokens = 2048;
};

// [balance]: of experts, and MTP modules.
struct SftBalanceConfig {
  double bias_update_speed = 0.0;
  double sequence_balance_alpha = 0.0;
  double mtp_lambda = 0.0;
};

struct SftConfig {
  std::string name = "sft", output = "runs/sft";
  std::string model;       // where it starts; required
  double epochs = 1.0;     // passes over the data
  int64_t max_tokens = 0;  // ends the run earlier; 0: no limit
  ComputeDType compute = ComputeDType::bf16;
  bool recompute = false;
  NonFiniteAction on_non_finite = NonFiniteAction::stop;
  int64_t log_every_steps = 10;
  SftDataConfig data;
  SftBatchConfig batch;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  SftBalanceConfig balance;
  LoraConfig lora;
  CheckpointConfig checkpoint;
  ValidationConfig validation;
  CostConfig cost;
};

// As load_train_config() and its neighbours do.
SftConfig load_sft_config(const std::string& recipe_path,
                          const std::vector<std::string>& overrides);
SftConfig parse_sft_config(const std::string& toml, const std::string& where,
                           const std::vector<std::string>& overrides);
std::string write_sft_config(const SftConfig& config);
std::string describe_sft_config();

}  // namespace minke
