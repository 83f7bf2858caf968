#include "model/model_source.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "config/json.h"
#include "config/model_fields.h"
#include "config/model_folder.h"
#include "config/parameters.h"
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

// Matrices that the files have, an expert's own among them.
int64_t stored_matrices(const GgufReader* gguf, const SafetensorsReader* safetensors) {
  if (!gguf) return static_cast<int64_t>(safetensors->tensors().size());
  int64_t count = 0;
  for (const auto& [name, tensor] : gguf->tensors())
    count += tensor.shape.size() == 3 ? tensor.shape[0] : 1;
  return count;
}

// A configuration can name millions of parameters, which are listed before one is found missing.
void check_size(const ModelConfig& config, int64_t stored, const std::string& where) {
  constexpr int64_t few = 100'000;
  int64_t moe_layers = 0;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) moe_layers += config.is_moe_layer(i);
  const int64_t needed = 2 * moe_layers * config.n_routed_experts;  // gate and up may be one
  if (needed > few && needed > stored)
    fail(
        "{}: its configuration has {} layers with {} experts, its files have {} matrices in all; "
        "is the download complete?",
        where, moe_layers, config.n_routed_experts, stored);
}

// The number of the layer that a tensor belongs to, by the files' own names; -1: none.
int64_t layer_of(std::string_view tensor) {
  int64_t layer = -1;
  for (const std::string_view prefix : {"model.layers.", "blk."})
    if (tensor.starts_with(prefix))
      std::from_chars(tensor.data() + prefix.size(), tensor.data() + tensor.size(), layer);
  return layer;
}

std::set<std::string, std::less<>> names_in_files(const ModelConfig& config, bool is_gguf) {
  std::set<std::string, std::less<>> names;
  const auto add = [&](const std::string& name) {
    const auto place = is_gguf ? gguf_place(config, name) : std::nullopt;
    names.insert(place ? place->tensor : name);
  };
  for (const Parameter& parameter : list_parameters(config)) {
    add(parameter.name);
    const size_t kv_b = parameter.name.find("kv_b_proj.weight");
    if (!is_gguf || kv_b == std::string::npos) continue;
    for (const char* half : {"k_b_proj.weight", "v_b_proj.weight"})
      add(parameter.name.substr(0, kv_b) + half);
  }
  return names;
}

// A bias or a norm that the configuration does not ask for would be left out of every result.
template <typename Tensors>
void check_no_more(const ModelConfig& config, const Tensors& tensors, bool is_gguf) {
  const auto known = names_in_files(config, is_gguf);
  for (const auto& [name, tensor] : tensors) {
    const int64_t layer = layer_of(name);
    const bool is_parameter = name.ends_with(".weight") || name.ends_with(".bias");
    if (layer < 0 || layer >= config.num_hidden_layers || !is_parameter || known.contains(name) ||
        name.ends_with(".ffn_gate_up_exps.weight"))
      continue;
    fail(
        "{}: tensor '{}' is {}, and a {} with this configuration has none; Minke would leave it "
        "out of what it computes",
        tensor.file, name, tensor.describe(), enum_name(config.model_type));
  }
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
  check_size(source.config_, stored_matrices(source.gguf_.get(), source.safetensors_.get()),
             source.where());
  if (source.gguf_)
    check_no_more(source.config_, source.gguf_->tensors(), true);
  else
    check_no_more(source.config_, source.safetensors_->tensors(), false);
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
