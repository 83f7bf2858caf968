#include "model/conversion_check.h"

#include <cmath>

#include "base/error.h"
#include "model/model_rows.h"

namespace minke {
namespace {

// Numbers are f32 in GGUF files.
void settle(double& value, double original) {
  if (std::abs(value - original) <= 1e-6 * std::abs(original)) value = original;
}

double cosine_factor(const RopeScaling& scaling) {
  if (scaling.factor == 1.0 || scaling.rope_type != RopeType::yarn) return 1;
  return scaling.attention_factor > 0 ? scaling.attention_factor
                                      : 0.1 * std::log(scaling.factor) + 1;
}

// The configuration with what files need not hold (and does not change what is computed) as in the
// original.
std::string comparable(ModelConfig config, const ModelConfig& original) {
  config.initializer_range = original.initializer_range;
  config.unknown_keys = original.unknown_keys;
  config.torch_dtype = original.torch_dtype;
  config.bos_token_id = original.bos_token_id;
  config.eos_token_id = original.eos_token_id;
  settle(config.rms_norm_eps, original.rms_norm_eps);
  settle(config.rope_theta, original.rope_theta);
  settle(config.routed_scaling_factor, original.routed_scaling_factor);
  RopeScaling& scaling = config.rope_scaling;
  const RopeScaling& wanted = original.rope_scaling;
  if (scaling.factor == 1.0 && wanted.factor == 1.0) scaling = wanted;
  if (std::abs(cosine_factor(scaling) - cosine_factor(wanted)) < 1e-6)
    scaling.attention_factor = wanted.attention_factor;
  scaling.attn_factor = wanted.attn_factor;
  for (const auto member : {&RopeScaling::factor, &RopeScaling::beta_fast, &RopeScaling::beta_slow,
                            &RopeScaling::mscale, &RopeScaling::mscale_all_dim})
    settle(scaling.*member, wanted.*member);
  return write_model_config(config);
}

void check_config(const ModelConfig& given, const ModelConfig& written) {
  if (given.is_mla() && given.n_routed_experts == 0) return;  // its other fields mean nothing
  const std::string expected = write_model_config(given), found = comparable(written, given);
  if (expected != found)
    fail("the file's configuration is not the model's; the model's:\n{}the file's:\n{}", expected,
         found);
}

void check_weights(const ModelSource& source, const ModelSource& result,
                   const ParameterErrors& errors) {
  constexpr double rounding = 1 + 1e-9;  // of sums in another order
  for (const Parameter& parameter : list_parameters(source.config())) {
    if (parameter.kind == ParameterKind::tied) continue;
    const auto expected = errors.find(parameter.name);
    require(expected != errors.end(), "the parameter '{}' was not written", parameter.name);
    const double error =
        compare_rows(parameter_rows(source, parameter), parameter_rows(result, parameter)).error;
    if (!(error <= expected->second * rounding))
      fail("what was written is not what was read: tensor '{}' is off by {} (squared), expected {}",
           parameter.name, error, expected->second);
  }
}

void check_tokenizer(const ModelSource& source, const ModelSource& result) {
  if (!source.has_tokenizer()) return;
  constexpr const char* sample =
      "The price of 1234567 m² isn't  known,\r\n\t naïve 中文 日本語 🐋 don't\n";
  const Tokenizer given = source.tokenizer(), written = result.tokenizer();
  if (given.encode(sample) != written.encode(sample) || given.bos_id() != written.bos_id() ||
      given.eos_id() != written.eos_id() || given.adds_bos() != written.adds_bos())
    fail("the written tokenizer is not the model's");
  for (int32_t id = 0; id < std::min(given.vocab_size(), written.vocab_size()); ++id)
    if (given.token_bytes(id) != written.token_bytes(id) ||
        given.is_special(id) != written.is_special(id))
      fail("token {} is \"{}\" in the model and \"{}\" in what was written", id,
           given.token_bytes(id), written.token_bytes(id));
  if (source.chat_template_text() != result.chat_template_text())
    fail("the written chat template is not the model's");
}

}  // namespace

void check_conversion(const ModelSource& source, const fs::path& written,
                      const ParameterErrors& errors) {
  const ModelSource result = ModelSource::open(written);
  check_config(source.config(), result.config());
  check_weights(source, result, errors);
  check_tokenizer(source, result);
}

}  // namespace minke
