#include "model/quantized_source.h"

#include <algorithm>

#include "base/threads.h"
#include "config/parameters.h"
#include "kernels/blocks.h"
#include "model/gguf_names.h"

namespace minke {
namespace {

// Rows that are looked up and not multiplied take no time that fewer bits would save.
bool is_only_looked_up(const ModelConfig& config, std::string_view name) {
  return (name == "model.embed_tokens.weight" && !config.tie_word_embeddings) ||
         name == "model.embed_ngrams.weight";
}

}  // namespace

QuantizedSource::QuantizedSource(const ModelConfig& config, const WeightSource& source,
                                 QuantizationType type)
    : source_(source) {
  for (const Parameter& parameter : list_parameters(config)) {
    add(config, type, parameter.name);
    const size_t kv_b = parameter.name.rfind("kv_b_proj.weight");
    if (kv_b == std::string::npos) continue;
    for (const char* half : {"k_b_proj.weight", "v_b_proj.weight"})  // of some GGUF files
      add(config, type, parameter.name.substr(0, kv_b) + half);
  }
  Arena counting = Arena::counting();
  allocate(counting);
  bytes_ = counting.used();
}

void QuantizedSource::add(const ModelConfig& config, QuantizationType type,
                          const std::string& name) {
  const auto matrix = source_.find(name);
  const auto place = gguf_place(config, name);
  if (!matrix || !place || is_only_looked_up(config, name)) return;
  const int64_t rows = matrix->rows, columns = matrix->columns;
  if (std::min(rows, columns) == 1) return;  // a vector
  const std::array shape = {rows, columns};
  const BlockFormat format = choose_gguf_format(type, config, place->tensor, shape).format;
  if (block_elements(format) == 1) return;
  const auto entry = matrices_.emplace(name, StoredMatrix{format, rows, columns}).first;
  constexpr int64_t piece_elements = 1 << 15;
  const int64_t height = std::max<int64_t>(1, piece_elements / columns);
  for (int64_t row = 0; row < rows; row += height)
    pieces_.push_back({*entry, row, std::min(rows, row + height)});
}

void QuantizedSource::allocate(Arena& arena) {
  for (auto& [name, matrix] : matrices_) {
    const int64_t bytes = matrix.rows * matrix.row_bytes();
    matrix.data = arena.allocate(DType::i32, {(bytes + 3) / 4}).data;
  }
}

void QuantizedSource::refresh() {
  if (bytes_ > 0 && arena_.is_counting()) {
    arena_ = Arena(bytes_);
    allocate(arena_);
  }
  parallel_for(static_cast<int64_t>(pieces_.size()), [&](int64_t i) { quantize(pieces_[i]); });
}

void QuantizedSource::quantize(const Piece& piece) const {
  const auto& [name, matrix] = piece.of;
  const StoredMatrix from = *source_.find(name);
  std::vector<float> row(static_cast<size_t>(matrix.columns));
  for (int64_t r = piece.begin; r < piece.end; ++r) {
    dequantize_rows(from, r, r + 1, row.data());
    quantize_row(matrix.format, row.data(), matrix.columns, const_cast<std::byte*>(matrix.row(r)));
  }
}

std::optional<StoredMatrix> QuantizedSource::find(std::string_view name) const {
  const auto found = matrices_.find(name);
  return found == matrices_.end() ? source_.find(name) : found->second;
}

}  // namespace minke
