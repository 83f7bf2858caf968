#pragma once
// quant/: which format each tensor of a quantised model takes, and rows of numbers to rows of
// blocks in parallel, a piece at a time. May include kernels/, io/, config/, tensor/ and base/.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/model_config.h"
#include "tensor/block_format.h"

namespace minke {

// What a person asks a whole model to become. A mix is named after the format that most of it has.
enum class QuantizationType { f32, f16, bf16, f8, q8_0, q4_0, q4_k, q6_k, q4_k_m };

std::string_view quantization_name(QuantizationType type);  // "q4_k_m"; f8 is "fp8"
// An unknown name is a usage Error that lists all.
QuantizationType parse_quantization(std::string_view name);
// general.file_type of a GGUF file (llama_ftype in llama.cpp's llama.h).
uint32_t gguf_file_type(QuantizationType type);

struct FormatChoice {
  BlockFormat format;
  bool is_fallback = false;  // the rows are no whole blocks of the format that was meant
};

// The format of a tensor in a GGUF file, by llama.cpp's rules (llama_tensor_get_type in its
// src/llama-quant.cpp). Vectors, norms and the router stay F32. The head, or the embedding that is
// also the head, takes Q6_K in place of fewer bits. q4_k_m takes Q6_K for attn_v and ffn_down in
// the first and the last eighth of the layers and in every third between. Rows that are no whole
// blocks of 256 take Q5_0 for Q4_K and Q8_0 for Q6_K; those that are none of 32 take F16. f8 has no
// GGUF type: an Error.
FormatChoice choose_gguf_format(QuantizationType type, const ModelConfig& config,
                                std::string_view name, std::span<const int64_t> shape);
// True for what no type quantises: vectors, norms, the router.
bool stays_f32_in_gguf(std::string_view name, std::span<const int64_t> shape);
// The format, or what stands in for it where rows are no whole blocks.
FormatChoice format_for_rows(BlockFormat format, int64_t columns);

// The format of a parameter in a Hugging Face directory, for f32, f16, bf16 and f8. With f8 the
// linear layers inside of the model's layers are F8_E4M3 and everything else BF16, as in DeepSeek's
// files; the gate's balancing bias is always F32.
BlockFormat choose_safetensors_format(QuantizationType type, std::string_view name, size_t rank);

}  // namespace minke
