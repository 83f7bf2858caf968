#include "config/sft_config.h"

#include "base/files.h"
#include "config/recipe_checks.h"
#include "config/recipe_sections.h"
#include "config/sft_fields.h"

namespace minke {

SftConfig parse_sft_config(const std::string& toml, const std::string& where,
                           const std::vector<std::string>& overrides) {
  const auto c = read_recipe<SftConfig>(parse_recipe(toml, where, overrides));
  if (c.model.empty())
    fail_usage("{}: model is missing: the folder or the file of the model to start with", where);
  if (c.data.train.empty()) fail_usage("{}: data.train is missing", where);
  if (!(c.epochs > 0)) fail_usage("{}: epochs is {}, expected more than 0", where, c.epochs);
  if (c.data.max_tokens > c.batch.micro_batch_tokens)
    fail_usage("{}: batch.micro_batch_tokens is {}, expected at least data.max_tokens = {}", where,
               c.batch.micro_batch_tokens, c.data.max_tokens);
  check_optimizer(c.optimizer, where);
  check_schedule(c.schedule, where);
  check_lora_config(c.lora, c.optimizer, where);
  if (c.lora.is_on() && c.balance.bias_update_speed > 0)
    fail_usage("{}: balance.bias_update_speed is {}, expected 0 with lora.rank above 0", where,
               c.balance.bias_update_speed);
  return c;
}

SftConfig load_sft_config(const std::string& recipe_path,
                          const std::vector<std::string>& overrides) {
  constexpr int64_t max_bytes = 1 << 24;
  return parse_sft_config(read_file(recipe_path, max_bytes), recipe_path, overrides);
}

std::string write_sft_config(const SftConfig& config) { return write_recipe(config); }

std::string describe_sft_config() { return describe_recipe<SftConfig>(); }

}  // namespace minke
