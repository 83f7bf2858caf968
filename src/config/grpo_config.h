#pragma once
// A recipe of reinforcement learning: what `minke grpo RECIPE` reads from TOML. docs/grpo.md
// explains the settings.

#include "config/lora_config.h"
#include "config/task_config.h"

namespace minke {

enum class RolloutMode { exact, fast };
enum class RolloutQuantization { none, q8_0, q4_0 };
enum class AdvantageScale { deviation, none };
enum class LossNormalization { sequence, token, constant };

// [rollout]
struct GrpoRolloutConfig {
  int64_t prompts = 16, group = 16;  // problems of a step, answers to each
  int64_t max_prompt_tokens = 64, max_tokens = 64;
  double temperature = 1.0;
  RolloutMode mode = RolloutMode::exact;
  RolloutQuantization quantization = RolloutQuantization::none;
  int64_t sequences = 128;             // answers that grow at once
  std::string prompt_template = "{}";  // around the problem's prompt, which stands for {}
  bool chat = false;                   // that text as a user's turn of the model's chat template
  std::string stop;                    // text that ends an answer and is no part of it; empty: none
  bool dynamic_sampling = false;       // DAPO: groups without variance are drawn anew
  int64_t max_rounds = 4;              // of dynamic sampling
};

// [loss]
struct GrpoLossConfig {
  AdvantageScale advantage_scale = AdvantageScale::deviation;
  double clip_low = 0.2, clip_high = 0.2;
  double kl_coefficient = 0.0;
  bool unbiased_kl = false;
  int64_t reference_every_steps = 0;  // 0: the reference model stays the first one
  LossNormalization normalization = LossNormalization::sequence;
  bool overlong_filter = false;
  double off_policy_threshold = 0.0;
  double importance_cap = 2.0;
};

// [update]
struct GrpoUpdateConfig {
  int64_t minibatches = 1;  // a step's answers are split into so many updates
  int64_t epochs = 1;       // passes over them
  int64_t micro_batch_tokens = 2048;
  int64_t warmup_steps = 0;
  double final_factor = 1.0;  // of the learning rate, linear from the first step to the last
};

// [evaluation]
struct GrpoEvaluationConfig {
  int64_t every_steps = 20;
  int64_t problems = 256;
  double temperature = 1.0;
};

struct GrpoCheckpointConfig {
  int64_t every_steps = 50;
  int64_t keep = 2;
};

struct GrpoConfig {
  std::string name = "grpo";
  std::string output = "runs/grpo";
  std::string model;  // required: where it starts
  int64_t steps = 0;  // required
  uint64_t seed = 1;
  ComputeDType compute = ComputeDType::bf16;
  int64_t samples_every_steps = 10;
  GrpoRolloutConfig rollout;
  GrpoLossConfig loss;
  GrpoUpdateConfig update;
  LoraConfig lora;
  OptimizerConfig optimizer;
  GrpoEvaluationConfig evaluation;
  GrpoCheckpointConfig checkpoint;
  TaskConfig task;
  RewardConfig reward;
  SandboxConfig sandbox;
  CostConfig cost;
};

// As load_train_config() and its companions in config/train_config.h.
GrpoConfig load_grpo_config(const std::string& recipe_path,
                            const std::vector<std::string>& overrides);
GrpoConfig parse_grpo_config(const std::string& toml, const std::string& where,
                             const std::vector<std::string>& overrides);
std::string write_grpo_config(const GrpoConfig& config);
std::string describe_grpo_config();

}  // namespace minke
