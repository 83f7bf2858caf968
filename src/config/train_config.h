#pragma once
// A pre-training recipe: what `minke train RECIPE` reads from TOML. Quantities that grow with the
// run are counted in tokens, never in seconds or steps.

#include <cstdint>
#include <string>
#include <vector>

#include "config/model_config.h"

namespace minke {

enum class OptimizerKind { adamw, muon };
enum class ScheduleKind { constant, cosine, wsd, deepseek_v3 };
enum class ComputeDType { f32, bf16 };
enum class NonFiniteAction { stop, skip };

// [data]
struct DataConfig {
  std::string path;               // folder made by `minke data prepare`
  int64_t sequence_length = 256;  // tokens
  bool document_mask = false;     // documents of a sequence do not see each other
  uint64_t seed = 1;              // of the shuffle
};

// [batch]: sequences a step, ramped linearly in tokens from `initial_sequences`.
struct BatchConfig {
  int64_t sequences = 8;
  int64_t initial_sequences = 0;  // 0: no ramp
  int64_t ramp_tokens = 0;
  int64_t micro_batch = 8;  // sequences in memory at once; gradients accumulate over them
};

// [optimizer]
struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::adamw;
  double learning_rate = 1e-3;      // AdamW's peak
  double muon_learning_rate = 0.0;  // Muon's; 0: the same, as its updates have AdamW's size
  double muon_momentum = 0.95;
  int64_t muon_steps = 10;  // Newton-Schulz; V4 makes ten
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
  double gradient_clip = 1.0;        // global norm; 0: off
  std::string moment_dtype = "f32";  // "f32" or "bf16" (V3)
  double ema_decay = 0.0;            // weight EMA; 0: off
};

// [schedule]: a factor on the learning rates as a function of tokens seen.
//   constant; cosine (to final_factor at total_tokens); wsd (constant, then linear decay to
//   final_factor over the last decay_tokens); deepseek_v3 (constant until decay_start_tokens,
//   cosine to final_factor over decay_tokens, constant, then last_factor for the last last_tokens).
struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::cosine;
  int64_t warmup_tokens = 0;
  double final_factor = 0.1;
  int64_t decay_start_tokens = 0;
  int64_t decay_tokens = 0;
  double last_factor = 0.033;
  int64_t last_tokens = 0;
};

// [moe] and [mtp]
struct BalanceConfig {
  double bias_update_speed = 1e-3;       // auxiliary-loss-free balancing; 0: off
  int64_t bias_freeze_tokens = 0;        // no update during the last so many tokens
  double sequence_balance_alpha = 1e-4;  // sequence-wise balance loss
  double mtp_lambda = 0.3;
  double mtp_lambda_late = 0.1;  // from mtp_late_tokens on; 0 tokens: never
  int64_t mtp_late_tokens = 0;
};

// [checkpoint], [validation], [log]
struct CheckpointConfig {
  int64_t every_tokens = 0;  // 0: only at the end and on interruption
  int64_t keep = 2;
};
struct ValidationConfig {
  int64_t every_tokens = 0;    // 0: only at the end
  int64_t max_tokens = 65536;  // of the validation split; 0: all of it
};

// [cost]: prices for the ledger, in one currency.
struct CostConfig {
  std::string currency = "USD";
  double per_core_hour = 0.04;
  double per_gpu_hour = 2.0;
  double per_kwh = 0.15;
};

struct TrainConfig {
  std::string name = "run";
  std::string output = "runs/run";  // the run's folder
  int64_t total_tokens = 0;         // required
  uint64_t seed = 1;                // of the initialisation
  ComputeDType compute = ComputeDType::bf16;
  bool recompute = false;  // recompute norms, MLA up-projections and SwiGLU in backward
  NonFiniteAction on_non_finite = NonFiniteAction::stop;
  int64_t log_every_steps = 10;
  std::string preset;  // [model] preset = "12m", or [model] path = a config.json
  std::string model_path;
  bool model_weights = false;  // whether the run begins with the weights of model_path
  ModelConfig model;           // resolved; [model] keys override the preset
  DataConfig data;
  BatchConfig batch;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  BalanceConfig balance;  // [balance]
  CheckpointConfig checkpoint;
  ValidationConfig validation;
  CostConfig cost;
};

// Reads a recipe. overrides: "section.key=value" (value as in TOML; a bare word is taken as a
// string). An unknown key or a wrong type is a usage Error that names the key, the line and the
// nearest valid key. The model is resolved and checked.
TrainConfig load_train_config(const std::string& recipe_path,
                              const std::vector<std::string>& overrides);
// The same from TOML text; `where` names it in errors.
TrainConfig parse_train_config(const std::string& toml, const std::string& where,
                               const std::vector<std::string>& overrides);
// The resolved recipe as TOML: reading it back gives the same configuration.
std::string write_train_config(const TrainConfig& config);
// Every key with its type, default and meaning, as a Markdown table (docs/recipes.md is made of
// it).
std::string describe_train_config();

}  // namespace minke
