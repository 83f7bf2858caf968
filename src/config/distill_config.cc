#include "config/distill_config.h"

#include "base/files.h"
#include "config/distill_fields.h"
#include "config/recipe_checks.h"
#include "config/recipe_sections.h"

namespace minke {
namespace {

void check_template(const std::string& form, std::string_view key, const std::string& where) {
  const size_t at = form.find("{}");
  if (at == std::string::npos || form.find("{}", at + 2) != std::string::npos)
    fail_usage("{}: {} is \"{}\", expected a text with one {{}}", where, key, form);
}

void check_micro_batch(int64_t tokens, std::string_view key, int64_t longest,
                       const std::string& where) {
  if (tokens < longest)
    fail_usage("{}: {} is {}, which does not hold the longest prompt and answer of {} tokens",
               where, key, tokens, longest);
}

void check_samples(const DistillConfig& c, const std::string& where) {
  if (c.samples.keep > c.samples.per_problem)
    fail_usage("{}: samples.keep is {}, more than samples.per_problem = {}", where, c.samples.keep,
               c.samples.per_problem);
  if (!(c.sft.epochs > 0))
    fail_usage("{}: sft.epochs is {}, expected more than 0", where, c.sft.epochs);
  check_schedule(c.schedule, where);
  check_micro_batch(c.sft.micro_batch_tokens, "sft.micro_batch_tokens", c.sft.max_tokens, where);
}

void check_on_policy(const DistillConfig& c, const std::string& where) {
  if (c.on_policy.steps == 0) fail_usage("{}: on_policy.steps is missing", where);
  if (!c.teacher.url.empty())
    fail_usage(
        "{}: on_policy needs the teacher's whole distribution, which no server gives; leave "
        "teacher.url out, or use method = \"samples\"",
        where);
  check_micro_batch(c.on_policy.micro_batch_tokens, "on_policy.micro_batch_tokens",
                    c.rollout.max_prompt_tokens + c.rollout.max_tokens, where);
}

void check(const DistillConfig& c, const std::string& where) {
  if (c.model.empty())
    fail_usage("{}: model is missing: the folder or the file of the student", where);
  if (c.teacher.model.empty()) fail_usage("{}: teacher.model is missing", where);
  if (c.teacher.url.find('@') != std::string::npos)  // it would stand in recipe.toml
    fail_usage("{}: teacher.url holds a name or a password; teacher.api_key_env is the place",
               where);
  check_template(c.rollout.prompt_template, "rollout.prompt_template", where);
  check_template(c.teacher.prompt_template, "teacher.prompt_template", where);
  if (c.method == DistillMethod::samples)
    check_samples(c, where);
  else
    check_on_policy(c, where);
  check_optimizer(c.optimizer, where);
}

}  // namespace

DistillConfig parse_distill_config(const std::string& toml, const std::string& where,
                                   const std::vector<std::string>& overrides) {
  const auto config = read_recipe<DistillConfig>(parse_recipe(toml, where, overrides));
  check(config, where);
  return config;
}

DistillConfig load_distill_config(const std::string& recipe_path,
                                  const std::vector<std::string>& overrides) {
  constexpr int64_t max_bytes = 1 << 24;
  return parse_distill_config(read_file(recipe_path, max_bytes), recipe_path, overrides);
}

std::string write_distill_config(const DistillConfig& config) { return write_recipe(config); }

std::string describe_distill_config() {
  return "# Recipes of distillation\n\n"
         "What `minke distill RECIPE` reads; [distill](distill.md) explains it. This page is made "
         "from the list of\nfields in `src/config/distill_fields.h`.\n" +
         describe_recipe<DistillConfig>();
}

}  // namespace minke
