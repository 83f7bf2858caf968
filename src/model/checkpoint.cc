#include "model/checkpoint.h"

#include "base/log.h"
#include "io/safetensors.h"

namespace minke {
namespace {

// Modules are dropped from the deepest on, as each needs the one before it.
int64_t stored_mtp_depth(const ModelConfig& config, const SafetensorsReader& files) {
  int64_t depth = 0;
  const auto present = [&](int64_t k) {
    const int64_t layer = config.num_hidden_layers + k;
    return files.find(fmt::format("model.layers.{}.eh_proj.weight", layer)) != nullptr;
  };
  while (depth < config.num_nextn_predict_layers && present(depth)) ++depth;
  return depth;
}

}  // namespace

StoredModel inspect_model(const fs::path& directory) {
  StoredModel model{load_model_config(directory)};
  const SafetensorsReader files(directory);
  const int64_t depth = stored_mtp_depth(model.config, files);
  if (depth < model.config.num_nextn_predict_layers) {
    warn("{}: config.json claims {} MTP modules, the files have {}; going on without the others",
         directory.string(), model.config.num_nextn_predict_layers, depth);
    model.config.num_nextn_predict_layers = depth;
  }
  if (!files.find("model.embed_tokens.weight"))
    fail("{}: no tensor model.embed_tokens.weight; is this a language model?", directory.string());
  return model;
}

Tokenizer load_tokenizer(const fs::path& directory, const ModelConfig& config) {
  Tokenizer tokenizer = Tokenizer::load(directory);
  if (tokenizer.vocab_size() > config.vocab_size)
    fail(
        "{}: the tokenizer has {} tokens, the model {} embedding rows; they do not belong together",
        directory.string(), tokenizer.vocab_size(), config.vocab_size);
  return tokenizer;
}

void load_weights(const fs::path& directory, const Weights& weights) {
  const SafetensorsReader files(directory);
  for (const Parameter& parameter : weights.parameters()) {
    if (parameter.kind == ParameterKind::tied) continue;
    float* out = weights.flat_weights().as<float>() + weights.offset(parameter.name);
    files.copy_as_f32(parameter.name, parameter.shape, out);
  }
}

void save_weights(const fs::path& directory, const ModelConfig& config, const Weights& weights,
                  DType dtype) {
  const auto in_file = [](const Parameter& parameter) {
    return parameter.kind != ParameterKind::tied || parameter.name != "lm_head.weight";
  };
  std::vector<TensorDeclaration> declarations;
  for (const Parameter& parameter : weights.parameters()) {
    const bool wide = dtype == DType::f32 || parameter.kind == ParameterKind::buffer;
    if (in_file(parameter))
      declarations.push_back(
          {parameter.name, wide ? FileDType::f32 : FileDType::bf16, parameter.shape});
  }
  SafetensorsWriter writer = SafetensorsWriter::folder(directory, std::move(declarations));
  for (const Parameter& parameter : weights.parameters()) {
    if (!in_file(parameter)) continue;
    const float* values = weights.flat_weights().as<float>() + weights.offset(parameter.name);
    writer.write_f32(parameter.name, {values, static_cast<size_t>(parameter.size())});
  }
  writer.commit();
  ModelConfig stored = config;
  stored.torch_dtype = dtype == DType::f32 ? "float32" : "bfloat16";
  write_file(directory / "config.json", write_model_config(stored));
}

}  // namespace minke
