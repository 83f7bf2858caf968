#include "config/grpo_config.h"

#include "base/files.h"
#include "config/grpo_fields.h"
#include "config/recipe_checks.h"
#include "config/recipe_sections.h"

namespace minke {
namespace {

void check_quantization(const GrpoConfig& c, const std::string& where) {
  if (c.rollout.quantization == RolloutQuantization::none) return;
  const std::string_view format = enum_name(c.rollout.quantization);
  if (c.rollout.mode == RolloutMode::exact)
    fail_usage(
        "{}: rollout.quantization is \"{}\", but rollout.mode = \"exact\" samples with the "
        "trainer's weights, bit for bit; set rollout.mode = \"fast\"",
        where, format);
  if (c.compute == ComputeDType::f32)
    fail_usage(
        "{}: rollout.quantization is \"{}\", but with compute = \"f32\" products take no integers, "
        "so that it would cost accuracy and save nothing; set compute = \"bf16\"",
        where, format);
}

void check(const GrpoConfig& c, const std::string& where) {
  if (c.steps == 0) fail_usage("{}: steps is missing", where);
  if (c.model.empty())
    fail_usage("{}: model is missing: the folder or the file of the model to start with", where);
  const std::string& form = c.rollout.prompt_template;
  const size_t at = form.find("{}");
  if (at == std::string::npos || form.find("{}", at + 2) != std::string::npos)
    fail_usage("{}: rollout.prompt_template is \"{}\", expected a text with one {{}}", where, form);
  check_quantization(c, where);
  const int64_t longest = c.rollout.max_prompt_tokens + c.rollout.max_tokens;
  if (c.update.micro_batch_tokens < longest)
    fail_usage(
        "{}: update.micro_batch_tokens is {}, which does not hold the longest prompt and answer of "
        "{} tokens",
        where, c.update.micro_batch_tokens, longest);
  check_optimizer(c.optimizer, where);
  check_lora_config(c.lora, c.optimizer, where);
  if (c.update.minibatches > c.rollout.prompts * c.rollout.group)
    fail_usage("{}: update.minibatches is {}, more than the {} answers of a step", where,
               c.update.minibatches, c.rollout.prompts * c.rollout.group);
}

}  // namespace

GrpoConfig parse_grpo_config(const std::string& toml, const std::string& where,
                             const std::vector<std::string>& overrides) {
  const auto config = read_recipe<GrpoConfig>(parse_recipe(toml, where, overrides));
  check(config, where);
  return config;
}

GrpoConfig load_grpo_config(const std::string& recipe_path,
                            const std::vector<std::string>& overrides) {
  constexpr int64_t max_bytes = 1 << 24;
  return parse_grpo_config(read_file(recipe_path, max_bytes), recipe_path, overrides);
}

std::string write_grpo_config(const GrpoConfig& config) { return write_recipe(config); }

std::string describe_grpo_config() {
  return "# Recipes of reinforcement learning\n\n"
         "What `minke grpo RECIPE` reads; [grpo](grpo.md) explains it. This page is made from the "
         "list of\nfields in `src/config/grpo_fields.h`.\n" +
         describe_recipe<GrpoConfig>();
}

}  // namespace minke
