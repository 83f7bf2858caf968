#pragma once
// What a model's files hold, without loading any of it.

#include <string>
#include <vector>

#include "model/model_source.h"

namespace minke {

// Tensors of one kind and one format: all layers' "self_attn.q_proj.weight" in Q4_K.
struct TensorGroup {
  std::string kind;  // Hugging Face's name without the layer; experts without their number
  bool is_mtp = false;
  BlockFormat format = BlockFormat::f32;
  int64_t tensors = 0, elements = 0, bytes = 0;  // bytes with FP8's scales
};

// One tensor as the engine sees it, by Hugging Face's name.
struct TensorEntry {
  std::string name;
  BlockFormat format = BlockFormat::f32;
  int64_t rows = 0, columns = 0, bytes = 0;
};

// All tensors of the model in the order of list_parameters; a missing one is an Error.
std::vector<TensorEntry> list_stored_tensors(const ModelSource& source);
// The same by kind, in the order of each kind's first tensor; MTP modules' at the end.
std::vector<TensorGroup> group_tensors(const ModelConfig& config,
                                       const std::vector<TensorEntry>& tensors);

// Parameters of the MTP modules that the files have, without the copies of embedding and head.
int64_t count_mtp_parameters(const ModelConfig& config);

}  // namespace minke
