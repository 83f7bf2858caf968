#pragma once
// A model's files as the engine reads them: configuration, weights in the format in which they are
// stored, tokenizer and chat template, from a Hugging Face directory, a run's folder or a GGUF
// file.

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "config/model_config.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "layers/weights.h"
#include "tensor/block_format.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace minke {

// Owns the mapped files; what it hands out belongs to it. Const members are thread-safe. Movable.
class ModelSource : public WeightSource {
 public:
  // What is missing, damaged or more than the configuration asks for is an Error that names it.
  static ModelSource open(const fs::path& path);

  const fs::path& path() const { return path_; }  // a run's: its newest checkpoint's model
  bool is_gguf() const { return gguf_ != nullptr; }
  const GgufReader* gguf() const { return gguf_.get(); }  // nullptr: a directory
  // Without the MTP modules for which the files have no tensors.
  const ModelConfig& config() const { return config_; }

  // Weights by Hugging Face's names, whatever the files call them. FP8 brings its scales, an expert
  // is its slice of a stack, Llama's queries and keys from GGUF come with a row_order. A vector is
  // a matrix of one row, or of one column where its elements are permuted. A GGUF file without
  // kv_b_proj has `...self_attn.k_b_proj.weight` [heads * kv_lora, nope], each head transposed, and
  // `...self_attn.v_b_proj.weight` [heads * v, kv_lora].
  std::optional<StoredMatrix> find(std::string_view name) const override;
  std::string where() const override { return path_.string(); }
  // The dtype of activations that suits the stored weights: f32 if they are f32, otherwise bf16.
  DType dtype() const;
  bool contains(std::string_view name) const { return find(name).has_value(); }
  // An Error when it is missing or has another shape; a vector's shape is [n].
  StoredMatrix get(std::string_view name, std::span<const int64_t> shape) const;

  bool has_tokenizer() const;
  // An Error if there is none, or if it has more tokens than the embedding has rows.
  Tokenizer tokenizer() const;
  TokenizerDefinition tokenizer_definition() const;
  // Jinja text of the model's own template; "" if it has none.
  std::string chat_template_text() const;
  // How the model's makers want it to be sampled, by the keys of generation_config.json; an object,
  // empty if the files do not say. In a GGUF file those are general.sampling.*.
  nlohmann::ordered_json generation_config() const;
  ChatTemplate chat_template(const Tokenizer& tokenizer) const {
    return ChatTemplate::detect(chat_template_text(), tokenizer);
  }

 private:
  ModelSource() = default;
  std::optional<StoredMatrix> find_in_gguf(std::string_view name) const;
  void prepare_row_orders();

  fs::path path_;
  ModelConfig config_;
  std::unique_ptr<SafetensorsReader> safetensors_;  // one of the two
  std::unique_ptr<GgufReader> gguf_;
  std::map<std::pair<int64_t, int64_t>, std::vector<int32_t>> row_orders_;  // by rows and heads
};

}  // namespace minke
