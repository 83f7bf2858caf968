#pragma once
// A model's weights in the formats in which its files hold them. plan/ reads no files: who does
// hands over rows.

#include <string>
#include <vector>

#include "config/parameters.h"
#include "tensor/block_format.h"

namespace minke {

// Tensors of one dtype or block format in a model's files.
struct FormatBytes {
  std::string format;  // "Q4_K", "BF16"
  int64_t tensors = 0, elements = 0, bytes = 0;
};

struct StoredWeight {
  std::string name;  // Hugging Face's
  ParameterKind kind = ParameterKind::matrix;
  BlockFormat format = BlockFormat::bf16;
  int64_t rows = 1, columns = 1;  // a vector has one row

  int64_t size() const { return rows * columns; }
  bool is_vector() const;
  bool is_expert() const;     // one of the routed experts
  bool is_key_value() const;  // MLA's kv_b_proj, or k_b_proj and v_b_proj that stand for it
};

// The parameters that inference loads, without MTP modules: matrices in `format`, the rest f32.
std::vector<StoredWeight> weights_in(const ModelConfig& config, BlockFormat format);

// What inference keeps of a matrix [rows, columns] that is stored so, in the layout of the kernels
// (kernels/packed.h); with f32 arithmetic four bytes an element.
int64_t packed_bytes(BlockFormat format, bool f32, int64_t rows, int64_t columns);
// Whether its products are those of 8-bit integers.
bool is_integer_format(BlockFormat format);

}  // namespace minke
