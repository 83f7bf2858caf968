#pragma once
// The list of a model's parameters: the one place that knows their names, shapes, order and kinds.
// Initialisation, loading, saving, the optimiser, sharding and counting all walk this list.

#include <cstdint>
#include <string>
#include <vector>

#include "config/model_config.h"

namespace minke {

enum class ParameterKind {
  matrix,     // trained; Muon may take it
  embedding,  // trained; embedding or output head
  memory,     // trained; no weight decay, which would take from rows that are seldom looked up
  router,     // trained; f32 in every compute mode
  norm,       // trained; no weight decay; starts at 1
  bias,       // trained; no weight decay; starts at 0
  buffer,     // not trained by gradient: the gate's e_score_correction_bias, f32 in files
  tied,       // the same storage as `tied_to`; written to files only where the format wants a copy
};

struct Parameter {
  std::string name;            // Hugging Face tensor name
  std::vector<int64_t> shape;  // [out, in] for matrices
  ParameterKind kind;
  std::string tied_to;  // kind == tied: the other's name

  int64_t size() const;
};

// All parameters in storage order, names as in the families' published checkpoints:
// model.embed_tokens, the layers, model.norm, lm_head, then the MTP modules under layer id
// num_hidden_layers + depth (whose embed_tokens and shared_head.head are tied to the main model's).
// Order inside a layer keeps matrices that share an input next to each other, so that storage
// without gaps makes them one matrix: q_a_proj (or q_proj) then kv_a_proj_with_mqa; q_proj, k_proj,
// v_proj; gate_proj then up_proj of each FFN and expert. Their biases follow in the same order.
std::vector<Parameter> list_parameters(const ModelConfig& config);

// Elements of all parameters that are neither tied nor MTP modules': the published "total".
int64_t count_parameters(const ModelConfig& config);
// Parameters that one token's forward pass uses (embedding and head included, of n-grams' tables
// the rows that it reads), without MTP.
int64_t count_active_parameters(const ModelConfig& config);

}  // namespace minke
