#include "model/model_source.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "config/json.h"
#include "config/model_folder.h"
#include "io/stored_matrix.h"
#include "model/checkpoint.h"
#include "model/gguf_config.h"
#include "model/gguf_names.h"
#include "model/gguf_sampling.h"
#include "text/gguf_tokenizer.h"

namespace minke {
namespace {

// Matrix `expert` of a stack.
StoredMatrix expert_of(const GgufTensor& tensor, int64_t expert) {
  if (tensor.shape.size() != 3 || expert >= tensor.shape[0])
    fail("{}: tensor '{}' is {}, and expert {} is asked of it", tensor.file, tensor.name,
         tensor.describe(), expert);
  StoredMatrix matrix = stored_matrix(tensor);
  matrix.rows = tensor.shape[1];
  matrix.data += expert * matrix.rows * matrix.row_bytes();
  return matrix;
}

// Newer files may have gate and up of all experts in one stack, gate's rows first.
std::optional<StoredMatrix> find_fused_expert(const GgufReader& file, const GgufPlace& place) {
  const bool is_up = place.tensor.ends_with("ffn_up_exps.weight");
  if (!is_up && !place.tensor.ends_with("ffn_gate_exps.weight")) return std::nullopt;
  const std::string prefix = place.tensor.substr(0, place.tensor.rfind("ffn_"));
  const GgufTensor* fused = file.find(prefix + "ffn_gate_up_exps.weight");
  if (!fused) return std::nullopt;
  StoredMatrix matrix = expert_of(*fused, place.expert);
  matrix.rows /= 2;
  if (is_up) matrix.data += matrix.rows * matrix.row_bytes();
  return matrix;
}

}  // namespace

ModelSource ModelSource::open(const fs::path& path) {
  ModelSource source;
  if (fs::is_regular_file(path)) {
    source.path_ = path;
    source.gguf_ = std::make_unique<GgufReader>(path);
    source.config_ = read_gguf_config(*source.gguf_);
    source.prepare_row_orders();
  } else {
    source.path_ = resolve_model_directory(path);
    source.config_ = inspect_model(source.path_).config;
    source.safetensors_ = std::make_unique<SafetensorsReader>(source.path_);
  }
  return source;
}

void ModelSource::prepare_row_orders() {
  if (config_.model_type != ModelType::llama) return;
  for (const int64_t heads : {config_.num_attention_heads, config_.num_key_value_heads}) {
    const int64_t rows = heads * config_.head_dim;
    row_orders_[{rows, heads}] = gguf_row_order(rows, heads);
  }
}

std::optional<StoredMatrix> ModelSource::find(std::string_view name) const {
  if (gguf_) return find_in_gguf(name);
  const StoredTensor* tensor = safetensors_->find(name);
  if (!tensor) return std::nullopt;
  return stored_matrix(*safetensors_, *tensor);
}

std::optional<StoredMatrix> ModelSource::find_in_gguf(std::string_view name) const {
  const auto place = gguf_place(config_, name);
  if (!place) return std::nullopt;
  const GgufTensor* tensor = gguf_->find(place->tensor);
  if (!tensor)
    return place->form == GgufForm::expert ? find_fused_expert(*gguf_, *place) : std::nullopt;
  if (place->form == GgufForm::expert) return expert_of(*tensor, place->expert);
  StoredMatrix matrix = stored_matrix(*tensor);
  if (place->form != GgufForm::permuted) return matrix;
  if (matrix.rows == 1 && block_elements(matrix.format) == 1)
    std::swap(matrix.rows, matrix.columns);  // a bias
  const auto order = row_orders_.find({matrix.rows, place->heads});
  if (order == row_orders_.end())
    fail("{}: tensor '{}' is {}, expected {} heads of {} rows", tensor->file, tensor->name,
         tensor->describe(), place->heads, config_.head_dim);
  matrix.row_order = order->second.data();
  return matrix;
}

StoredMatrix ModelSource::get(std::string_view name, std::span<const int64_t> shape) const {
  const auto matrix = find(name);
  if (!matrix) fail("{}: tensor '{}' is missing", path_.string(), name);
  const bool fits = shape.size() == 1 ? std::min(matrix->rows, matrix->columns) == 1 &&
                                            matrix->rows * matrix->columns == shape[0]
                                      : shape.size() == 2 && matrix->rows == shape[0] &&
                                            matrix->columns == shape[1];
  if (!fits)
    fail("{}: tensor '{}' is {} [{}, {}], expected the shape [{}]", path_.string(), name,
         block_format_name(matrix->format), matrix->rows, matrix->columns, fmt::join(shape, ", "));
  return *matrix;
}

DType ModelSource::dtype() const {
  const auto embedding = find("model.embed_tokens.weight");
  return embedding && embedding->format == BlockFormat::f32 ? DType::f32 : DType::bf16;
}

bool ModelSource::has_tokenizer() const {
  return gguf_ ? gguf_->find_value("tokenizer.ggml.model") != nullptr
               : fs::exists(path_ / "tokenizer.json");
}

TokenizerDefinition ModelSource::tokenizer_definition() const {
  return gguf_ ? read_gguf_tokenizer(*gguf_) : read_tokenizer(path_);
}

Tokenizer ModelSource::tokenizer() const {
  if (!gguf_) return load_tokenizer(path_, config_);
  Tokenizer tokenizer = load_gguf_tokenizer(*gguf_);
  if (tokenizer.vocab_size() > config_.vocab_size)
    fail(
        "{}: the tokenizer has {} tokens, the model {} embedding rows; they do not belong together",
        path_.string(), tokenizer.vocab_size(), config_.vocab_size);
  return tokenizer;
}

std::string ModelSource::chat_template_text() const {
  if (!gguf_) return read_chat_template(path_);
  return std::string(gguf_->string("tokenizer.chat_template").value_or(""));
}

nlohmann::ordered_json ModelSource::generation_config() const {
  if (gguf_) return read_gguf_sampling(*gguf_);
  const fs::path file = path_ / "generation_config.json";
  if (!fs::exists(file)) return nlohmann::ordered_json::object();
  constexpr int64_t most_bytes = 1 << 20;
  nlohmann::ordered_json config = parse_json(read_file(file, most_bytes), file.string());
  if (!config.is_object()) fail("{}: expected an object", file.string());
  return config;
}

}  // namespace minke
