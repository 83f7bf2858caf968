#pragma once
// A recipe of distillation: what `minke distill RECIPE` reads from TOML. docs/distill.md explains
// the settings.

#include "config/grpo_config.h"
#include "config/sft_config.h"

namespace minke {

enum class DistillMethod { samples, on_policy };

// [teacher]: a model on disk, or one behind a server that speaks OpenAI's interface.
struct TeacherConfig {
  std::string model;  // a folder or a file; with url the server's name of it. Required
  std::string url;    // "https://api.example.org/v1"; empty: on disk
  std::string api_key_env;
  bool chat = false;  // problems are a user's turns
  std::string prompt_template = "{}";
  std::string answer_prefix;  // what every answer begins with: "<think>\n"
  double parameters = 0.0;    // active ones of a served model: they count its operations
  int64_t parallel = 4;       // requests to the server at once
  int64_t attempts = 5;       // of a request that it refuses for a time
  double timeout_seconds = 600.0;
};

// [samples]: the teacher's answers.
struct DistillSamplesConfig {
  int64_t problems = 1024, per_problem = 4;
  int64_t keep = 4;  // right answers of a problem at most
  double temperature = 1.0, top_p = 1.0;
  int64_t max_prompt_tokens = 64, max_tokens = 64;
  int64_t sequences = 128;
  bool parse_special = true;
};

// [sft]: training on those that were right.
struct DistillSftConfig {
  double epochs = 1.0;
  int64_t max_tokens = 1024;
  int64_t batch_tokens = 8192, micro_batch_tokens = 2048;
};

// [rollout]: the student's answers, in tests and on-policy.
struct DistillRolloutConfig {
  std::string prompt_template = "{}";
  bool chat = false;  // problems are a user's turns of the student's chat template
  int64_t max_prompt_tokens = 64, max_tokens = 64;
  int64_t sequences = 128;
};

// [on_policy]
struct OnPolicyConfig {
  int64_t steps = 0;  // required
  int64_t prompts = 16, group = 4;
  double temperature = 1.0;
  int64_t micro_batch_tokens = 2048;
  int64_t warmup_steps = 0;
  double final_factor = 1.0;
};

struct DistillConfig {
  std::string name = "distill", output = "runs/distill";
  std::string model;  // the student; required
  DistillMethod method = DistillMethod::samples;
  uint64_t seed = 1;
  ComputeDType compute = ComputeDType::bf16;
  TeacherConfig teacher;
  DistillSamplesConfig samples;
  DistillSftConfig sft;
  ScheduleConfig schedule;
  DistillRolloutConfig rollout;
  OnPolicyConfig on_policy;
  OptimizerConfig optimizer;
  GrpoEvaluationConfig evaluation;
  GrpoCheckpointConfig checkpoint;
  TaskConfig task;
  RewardConfig reward;
  SandboxConfig sandbox;
  CostConfig cost;
};

// As load_train_config() and its companions in config/train_config.h.
DistillConfig load_distill_config(const std::string& recipe_path,
                                  const std::vector<std::string>& overrides);
DistillConfig parse_distill_config(const std::string& toml, const std::string& where,
                                   const std::vector<std::string>& overrides);
std::string write_distill_config(const DistillConfig& config);
std::string describe_distill_config();

}  // namespace minke
