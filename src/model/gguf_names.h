#pragma once
// Where a parameter lies in a GGUF file. Hugging Face's names are the ones that Minke uses
// (config/parameters.h); GGUF's are llama.cpp's for the architectures deepseek2, llama, qwen2 and
// qwen3. docs/formats-gguf.md has the table.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model_config.h"

namespace minke {

// What llama.cpp's converter does to a tensor on the way into the file.
enum class GgufForm {
  plain,     // nothing
  expert,    // it is matrix `expert` of a stack
  permuted,  // Llama's q and k: the rows of a head's two halves take turns
  k_b,       // of kv_b_proj each head's key rows, transposed: [heads, kv_lora, nope]
  v_b,       // of kv_b_proj each head's value rows: [heads, v, kv_lora]
};

struct GgufPlace {
  std::string tensor;
  GgufForm form = GgufForm::plain;
  int64_t expert = 0;
  int64_t heads = 0;  // permuted: of q or of k
};

// The place of a parameter by its Hugging Face name; nothing for a name that is none of the
// family's. Also of `...self_attn.k_b_proj.weight` and `v_b_proj`, which stand in for kv_b_proj.
std::optional<GgufPlace> gguf_place(const ModelConfig& config, std::string_view name);

// A tensor to be written, and the parameters that it is made of: one, or all experts in their
// order. Latent attention's kv_b_proj makes two tensors, k_b and v_b.
struct GgufTensorPlan {
  std::string name;
  std::vector<int64_t> shape;
  GgufForm form;
  int64_t heads = 0;  // permuted, k_b, v_b
  std::vector<std::string> sources;
};

// All tensors of a model in the order of list_parameters, without what is tied and without Llama
// 3's rope_freqs.weight (gguf_config.h).
std::vector<GgufTensorPlan> list_gguf_tensors(const ModelConfig& config);

// Of a permuted matrix: row r of Hugging Face's is row [r] of the file's. `rows` are those of all
// heads.
std::vector<int32_t> gguf_row_order(int64_t rows, int64_t heads);

}  // namespace minke
